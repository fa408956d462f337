/**
 * Step keys are paths inside the plan. A call's key is its place's path; the places of a node at path `P` are
 *
 *     call         P   P.judge   P.escalated   (the last two where it may be escalated)
 *     chain        P.<step name>
 *     router       P.classify   P.route.<label>   P.default
 *     fan_out      P.<branch name>   P.branch[<i>]   P.judge
 *     map_reduce   P.map[<i>]   P.reduce   P.reduce[<level>][<group>]
 *
 * with indices from 0 and levels from 1. The root's path is empty (`map[3]`, not `.map[3]`); a call that is the whole plan
 * has the key `call`. Names and labels are ASCII letters, digits, `_` and `-` (contracts), so a path can be taken apart in
 * one way only and no two places share one; `judge` is reserved among the branches of a fan-out that has a judge.
 */
export function childPath(path: string, segment: string): string {
  return path === '' ? segment : `${path}.${segment}`;
}

/** The key of the call at a place. */
export function callKey(path: string): string {
  return path === '' ? 'call' : path;
}
