import { createFindOversize } from '@millrace/capacity';
import { createFindDimensions, createFindUnembeddable, createFindUnsampled, poolOf } from '@millrace/config';
import type { Config } from '@millrace/config';
import type { PlanNode } from '@millrace/contracts';
import { checkPlan, createOutputValidators } from '@millrace/plans';
import type { CheckPlan } from './prepare-job.ts';

/** The plan check with this deployment's caps, routes and providers. */
export function createPlanCheck(config: Config): CheckPlan {
  const validators = createOutputValidators({ maxEntries: 500 });
  const isKnownTarget = (reference: { route: string } | { model: string }): boolean => {
    if ('route' in reference) return config.routes.has(reference.route);
    const slash = reference.model.indexOf('/');
    return slash > 0 && config.providers.has(reference.model.slice(0, slash));
  };
  const findOversize = createFindOversize(config, (target) => poolOf(config.pools, target));
  const findUnembeddable = createFindUnembeddable(config);
  const findDimensions = createFindDimensions(config);
  const findUnsampled = createFindUnsampled(config);
  const { limits } = config;
  const options = {
    limits,
    isKnownTarget,
    findOversize,
    findUnembeddable,
    findDimensions,
    findUnsampled,
    validators,
  };
  return (plan: PlanNode) => checkPlan(plan, options);
}
