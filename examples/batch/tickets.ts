/** What happened to whom, and what they want: every combination makes a ticket. */
const PRODUCTS = [
  'K2 kettle',
  'Aero toaster',
  'Pour-over scale',
  'Miller grinder',
  'Steam wand',
  'Cold brewer',
];
const PROBLEMS = [
  'I was charged twice on my card for the same order; the invoice shows the payment two times.',
  'The app shows an error since the last update and crashes when I log in.',
  'The parcel says delivered, but no delivery came to my address and the courier has no tracking.',
  'It does not switch on any more, and the error light on its base blinks.',
  'We would like to buy forty for our office and need a quote with a discount.',
  'I want my money back: the refund for my return has not been paid.',
];
const TIMES = ['since yesterday', 'for two weeks', 'after the holidays', 'as of this morning', 'again'];
const MOODS = [
  'I am quite annoyed.',
  'No hurry, thank you.',
  'Please help quickly!',
  'This is the third time I write.',
];

/** The labels that a ticket can get. */
export const TEAMS = ['billing', 'technical', 'shipping', 'sales', 'other'] as const;

/** As many support tickets as asked for, the same ones every time, no two alike. */
export function makeTickets(count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const pick = (from: readonly string[], stride: number) =>
      from[Math.floor(index / stride) % from.length] ?? '';
    const problem = pick(PROBLEMS, 1);
    const product = pick(PRODUCTS, PROBLEMS.length);
    const time = pick(TIMES, PROBLEMS.length * PRODUCTS.length);
    const mood = pick(MOODS, PROBLEMS.length * PRODUCTS.length * TIMES.length);
    return `Order ${10_000 + index}, ${product}, ${time}. ${problem} ${mood}`;
  });
}
