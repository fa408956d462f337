/** Puts an answer into the words of one endpoint; `token` is called for each token of the answer in order. */
export interface AnswerWriter {
  /** The body of an answer that is not streamed. */
  whole(): unknown;
  /** Events before the first token. */
  opening(): string;
  token(text: string, index: number): string;
  /** Events behind the last token, the terminal one included. */
  closing(): string;
  /** The event of a failure inside a stream that began with status 200. */
  failure(form: string): string;
}
