import { allowedNames } from '../cluster/access-rules.ts';
import type { ApiError } from '../cluster/api-error.ts';
import type { Cluster } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import { VMS } from './parse.ts';

/** The VMs that the API server's rules name: what is left where it forbids to list them. */
export interface NamedVms {
  /** They need not exist. */
  names: string[];
  /** Why there may be more of them, a sentence; absent: there are not. */
  incomplete?: string;
}

/**
 * The names of the VMs that may be read one by one. Errors: the refusal that led here, where no rule names a VM, with
 * a hint that says what is left; a `forbidden` of its own for all namespaces (`namespace` undefined).
 */
export async function namedVms(
  cluster: Cluster,
  namespace: string | undefined,
  refusal: ApiError,
): Promise<NamedVms> {
  if (namespace === undefined) {
    throw new VmopError('forbidden', 'you may not list the VMs of all namespaces', {
      hint: '-n NAMESPACE looks in one, where single VMs may be yours',
      cause: refusal,
    });
  }
  const rules = await cluster.rules(namespace);
  const names = allowedNames(rules, 'get', { group: VMS.group, resource: VMS.plural });
  if (names === 'any') throw withHint(refusal, 'you may read each VM there, but not list them: name the VM');
  const because = rules.problem === undefined ? '' : ` (${rules.problem})`;
  const incomplete = `the API server does not know all that you may do in namespace "${namespace}"${because}`;
  if (names.length > 0) {
    return rules.incomplete
      ? { names, incomplete: `${incomplete}: there may be more VMs that are yours` }
      : { names };
  }
  throw rules.incomplete ? withHint(refusal, `${incomplete}: name the VM that is yours`) : refusal;
}

function withHint({ code, message }: ApiError, hint: string): VmopError {
  return new VmopError(code, message, { hint });
}
