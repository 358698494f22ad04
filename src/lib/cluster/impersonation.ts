import type { UserExtras } from './raw-entries.ts';

type Headers = Record<string, string | string[]>;

/** Of the flags `--as` and `--as-group`. */
export interface Impersonated {
  user?: string | undefined;
  groups?: string[] | undefined;
}

/** Groups alone are sent, too: the server refuses them, where leaving them out would act with all rights. */
export function flagsImpersonation({ user, groups = [] }: Impersonated = {}): Headers {
  return {
    ...(user === undefined ? {} : { 'Impersonate-User': headerText(user) }),
    ...(groups.length === 0 ? {} : { 'Impersonate-Group': groups.map(headerText) }),
  };
}

/** What a kubeconfig's user has beside the name in `as`. */
export function userImpersonation({ groups, uid, extra }: Omit<UserExtras, 'tokenFile'>): Headers {
  return {
    ...(groups.length > 0 ? { 'Impersonate-Group': groups.map(headerText) } : {}),
    ...(uid === undefined ? {} : { 'Impersonate-Uid': headerText(uid) }),
    ...Object.fromEntries(
      Object.entries(extra).map(([key, values]) => [
        // A key may have a slash, a header's name may not.
        `Impersonate-Extra-${encodeURIComponent(key.toLowerCase())}`,
        values.map(headerText),
      ]),
    ),
  };
}

/** Node takes headers as Latin-1; Kubernetes reads UTF-8. */
export function headerText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
