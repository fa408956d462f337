export { createCapacityBook } from './capacity-book.ts';
export type { CallSize, CapacityBook, Reservation } from './capacity-book.ts';
