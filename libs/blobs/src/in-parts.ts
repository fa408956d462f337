/** Cuts a stream into parts of exactly `partBytes`, the last one shorter; an empty stream has none. */
export async function* inParts(
  content: AsyncIterable<Uint8Array>,
  partBytes: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let part = new Uint8Array(partBytes);
  let filled = 0;
  for await (const piece of content) {
    for (let at = 0; at < piece.length;) {
      const taken = Math.min(partBytes - filled, piece.length - at);
      part.set(piece.subarray(at, at + taken), filled);
      filled += taken;
      at += taken;
      if (filled === partBytes) {
        yield part;
        part = new Uint8Array(partBytes);
        filled = 0;
      }
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
}
