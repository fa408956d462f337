/** One page of a list, as `limit` and `after` ask for it. */
export function pageOf<Item extends { readonly id: string }>(
  items: readonly Item[],
  query: URLSearchParams,
  sizes: { readonly usual: number; readonly most: number },
): object {
  const limit = Math.min(sizes.most, Math.max(1, Number(query.get('limit') ?? sizes.usual)));
  const after = query.get('after');
  const start = after === null ? 0 : items.findIndex((item) => item.id === after) + 1;
  const data = items.slice(start, start + limit);
  return {
    object: 'list',
    data,
    has_more: start + limit < items.length,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}
