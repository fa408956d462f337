import type { HttpErrorCode, PlanNode, ProblemDetail, RequestLimits } from '@millrace/contracts';
import { createOutputValidators } from '../output/output-validators.ts';
import type { OutputValidators } from '../output/output-validators.ts';
import { createTemplateEngine } from '../templates/template-engine.ts';
import type { TemplateEngine } from '../templates/template-engine.ts';
import { checkCall } from './check-call.ts';
import { checkEmbed, refuseEmbed } from './check-embed.ts';
import { checkFanOut } from './check-fan-out.ts';
import { checkMapReduce } from './check-map-reduce.ts';
import { joinPath } from './join-path.ts';
import { createPlanProblems } from './plan-problems.ts';
import type { PlanProblems } from './plan-problems.ts';

export interface CheckPlanOptions {
  limits: RequestLimits;
  /** Whether the configuration knows this route or model. */
  isKnownTarget: (reference: { route: string } | { model: string }) => boolean;
  /**
   * Why a call with at least so many characters in its prompt can never leave, null when it can. `maxOutputTokens` is null
   * when the call names none.
   */
  findOversize?: (call: {
    route: string | undefined;
    model: string | undefined;
    characters: number;
    maxOutputTokens: number | null;
  }) => string | null;
  /** Why a route or a model cannot answer with vectors, null when it can. */
  findUnembeddable?: (reference: { route: string | undefined; model: string | undefined }) => string | null;
  /** How many numbers a vector of a route or a model has where the call names no dimensions; null where that is not known. */
  findDimensions?: (reference: { route: string | undefined; model: string | undefined }) => number | null;
  /** Why no target of a route, or a model, takes `temperature` and `top_p`, null when one does. */
  findUnsampled?: (reference: { route: string | undefined; model: string | undefined }) => string | null;
  /** Compiles output schemas; one that lives as long as the process saves 15 ms for each plan that has any. */
  validators?: OutputValidators;
}

export type PlanCheck =
  | { ok: true; stats: { depth: number; nodes: number } }
  | { ok: false; code: HttpErrorCode; detail: string; errors: ProblemDetail[] };

/** What the checks of one plan share. */
export interface PlanChecker {
  readonly limits: RequestLimits;
  readonly isKnownTarget: CheckPlanOptions['isKnownTarget'];
  readonly findOversize: CheckPlanOptions['findOversize'];
  readonly findUnembeddable: CheckPlanOptions['findUnembeddable'];
  readonly findDimensions: CheckPlanOptions['findDimensions'];
  readonly findUnsampled: CheckPlanOptions['findUnsampled'];
  readonly problems: PlanProblems;
  readonly templates: TemplateEngine;
  validators(): OutputValidators;
}

/**
 * Checks what the schema of a plan cannot say: fields that exclude each other, templates, system texts that use data,
 * output schemas, known targets, caps. Reports all problems (at most 100) with their paths (`steps[1].prompt`); `code` is
 * that of the gravest. Expects a plan that the schema of `contracts` has accepted.
 */
export function checkPlan(plan: PlanNode, options: CheckPlanOptions): PlanCheck {
  let { validators } = options;
  const checker: PlanChecker = {
    limits: options.limits,
    isKnownTarget: options.isKnownTarget,
    findOversize: options.findOversize,
    findUnembeddable: options.findUnembeddable,
    findDimensions: options.findDimensions,
    findUnsampled: options.findUnsampled,
    problems: createPlanProblems(),
    templates: createTemplateEngine(options.limits),
    validators: () => (validators ??= createOutputValidators({ maxEntries: 1 })),
  };
  const stats = walkPlan(checker, plan);
  const summary = checker.problems.summarise();
  return summary ? { ok: false, ...summary } : { ok: true, stats };
}

interface Visit {
  node: PlanNode;
  path: string;
  depth: number;
}

/** In the order of the text, without recursion: the depth is what is being checked. */
function walkPlan(checker: PlanChecker, plan: PlanNode): { depth: number; nodes: number } {
  const { limits, problems } = checker;
  const stats = { depth: 0, nodes: 0 };
  const pending: Visit[] = [{ node: plan, path: '', depth: 1 }];
  for (let visit = pending.pop(); visit; visit = pending.pop()) {
    const { node, path, depth } = visit;
    stats.nodes += 1;
    stats.depth = Math.max(stats.depth, depth);
    if (stats.nodes > limits.maxPlanNodes) {
      problems.add('plan_too_large', path, `a plan may have ${limits.maxPlanNodes} nodes`);
      break;
    }
    if (depth > limits.maxPlanDepth) {
      problems.add('plan_too_deep', path, `a plan may be nested ${limits.maxPlanDepth} deep`);
      continue;
    }
    checkNode(checker, node, path);
    const children = childNodes(node).map((child) => ({
      node: child.node,
      path: joinPath(path, child.segment),
      depth: depth + 1,
    }));
    pending.push(...children.reverse());
  }
  return stats;
}

function checkNode(checker: PlanChecker, node: PlanNode, path: string): void {
  switch (node.type) {
    case 'call':
      return checkCall(checker, node, path);
    case 'chain':
      return checkNames(checker, node.steps, path);
    case 'router':
      refuseEmbed(checker, node.classify, joinPath(path, 'classify'));
      if (Object.keys(node.routes).length === 0) {
        checker.problems.add('validation_failed', joinPath(path, 'routes'), 'at least one route is needed');
      }
      return;
    case 'fan_out':
      refuseEmbed(
        checker,
        typeof node.join === 'object' ? node.join.judge : undefined,
        joinPath(path, 'join.judge'),
      );
      return checkFanOut(checker, node, path);
    case 'map_reduce':
      refuseEmbed(checker, node.reduce, joinPath(path, 'reduce'));
      return checkMapReduce(checker, node, path);
    case 'embed':
      return checkEmbed(checker, node, path);
  }
}

function checkNames(checker: PlanChecker, steps: readonly { name: string }[], path: string): void {
  const seen = new Set<string>();
  for (const [index, { name }] of steps.entries()) {
    if (seen.has(name)) {
      const at = joinPath(path, `steps[${index}].name`);
      checker.problems.add('validation_failed', at, `the name "${name}" is taken by an earlier step`);
    }
    seen.add(name);
  }
}

function childNodes(node: PlanNode): { node: PlanNode; segment: string }[] {
  switch (node.type) {
    case 'call':
    case 'embed':
      return [];
    case 'chain':
      return node.steps.map((step, index) => ({ node: step, segment: `steps[${index}]` }));
    case 'router':
      return [
        { node: node.classify, segment: 'classify' },
        ...Object.entries(node.routes).map(([label, route]) => ({ node: route, segment: `routes.${label}` })),
        ...optional(node.default, 'default'),
      ];
    case 'fan_out':
      return [
        ...Object.entries(node.branches ?? {}).map(([name, branch]) => ({
          node: branch,
          segment: `branches.${name}`,
        })),
        ...optional(node.node, 'node'),
        ...optional(typeof node.join === 'object' ? node.join.judge : undefined, 'join.judge'),
      ];
    case 'map_reduce':
      return [{ node: node.map, segment: 'map' }, ...optional(node.reduce, 'reduce')];
  }
}

function optional(node: PlanNode | undefined, segment: string): { node: PlanNode; segment: string }[] {
  return node ? [{ node, segment }] : [];
}
