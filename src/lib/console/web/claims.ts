import { isSameSecret } from './ticket.ts';

interface Claim<Answer> {
  page: string;
  answer: Promise<Answer>;
}

/**
 * The pages that use the link, each by a secret that it made. One that is loaded anew before it has its session gets
 * what it was to get before; anybody else with the ticket does not.
 */
export class PageClaims<Answer extends { status: number }> {
  #claims: Claim<Answer>[] = [];

  /** What this page gets or is about to get; undefined when it has not come yet, or says no secret. */
  answerFor(page: string): Promise<Answer> | undefined {
    return this.#claims.find((claim) => isSameSecret(page, claim.page))?.answer;
  }

  /** Keeps what a page gets, until it is known to be a refusal. `answer` never rejects. */
  async keep(page: string, answer: Promise<Answer>): Promise<Answer> {
    if (page === '') return await answer;
    const claim = { page, answer };
    this.#claims.push(claim);
    const answered = await answer;
    if (answered.status !== 200) this.#claims = this.#claims.filter((one) => one !== claim);
    return answered;
  }

  /** The page is there: it keeps its session itself. */
  settle(): void {
    this.#claims = [];
  }
}
