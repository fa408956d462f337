/** The same wrong answer each time: `schema` is JSON of another shape, `text` prose, `cut` JSON that breaks off. */
export function wrongJson(form: string): string {
  if (form === 'text') return 'Here is the result you asked for: the values are described above.';
  if (form === 'cut') return '{"result": "the values are described abo';
  return '{"unexpected_result":"this does not fit the schema","code":null}';
}
