import { escapeUnsafe, isUnsafe } from '../text.ts';
import { toPlain } from './plain.ts';

/**
 * YAML 1.2; strings that YAML 1.1 would read as something else (`yes`, `012`) are quoted too. What a terminal would
 * act upon is written as `\uXXXX`.
 */
export async function renderYaml(data: unknown): Promise<string> {
  const { Document, visit } = await import('yaml');
  const document = new Document(toPlain(data), { compat: 'yaml-1.1', aliasDuplicateObjects: false });
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === 'string' && isUnsafe(node.value.replaceAll('\n', '')))
        node.type = 'QUOTE_DOUBLE';
    },
  });
  return escapeUnsafe(document.toString({ lineWidth: 0 }));
}
