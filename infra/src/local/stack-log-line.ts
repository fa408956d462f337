/** One line of one part of the stack. */
export interface StackLogLine {
  /** `api`, `worker-1`, `scheduler`, `simulator`, `postgres`, `redis`, or `local` for the stack itself. */
  source: string;
  line: string;
}
