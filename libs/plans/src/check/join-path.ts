/** `steps[1]` and `prompt` → `steps[1].prompt`; the root's path is empty. */
export function joinPath(path: string, field: string): string {
  return path === '' ? field : `${path}.${field}`;
}
