import type { Vendor } from './model-catalogue.ts';

/** What a batch line came to. `stuck`: taken up, never answered; `expired` and `canceled`: never taken up. */
export type LineResult = 'succeeded' | 'errored' | 'stuck' | 'expired' | 'canceled';

/**
 * What happens to files and batches beside the requests that ask for it. `contentSha256` is of the input's bytes,
 * `customIdsSha256` of the sorted custom ids with a line break behind each: two batches that share it do the same work.
 */
export type Note =
  | {
      readonly event: 'file.uploaded';
      readonly account: string;
      readonly fileId: string;
      readonly purpose: string;
      readonly fileName: string;
      readonly bytes: number;
      readonly contentSha256: string;
    }
  | {
      readonly event: 'file.read';
      readonly account: string;
      readonly fileId: string;
      readonly bytes: number;
      readonly whole: boolean;
    }
  | { readonly event: 'file.deleted'; readonly account: string; readonly fileId: string }
  | {
      readonly event: 'batch.created';
      readonly dialect: Vendor;
      readonly account: string;
      readonly batchId: string;
      readonly inputFileId: string | null;
      readonly contentSha256: string;
      readonly metadata: unknown;
    }
  | {
      /** The input was read: OpenAI when validation is over, Anthropic at once. */
      readonly event: 'batch.read';
      readonly account: string;
      readonly batchId: string;
      readonly model: string | null;
      readonly requests: number;
      readonly customIdsSha256: string;
    }
  | {
      readonly event: 'batch.status';
      readonly account: string;
      readonly batchId: string;
      readonly status: string;
    }
  | {
      readonly event: 'line.ended';
      readonly account: string;
      readonly batchId: string;
      readonly customId: string;
      readonly result: LineResult;
      /** As the line's answer says it; `null` without one. */
      readonly status: number | null;
      readonly inputTokens: number;
      readonly outputTokens: number;
      readonly billedUsd: string;
    }
  | {
      readonly event: 'batch.ended';
      readonly dialect: Vendor;
      readonly account: string;
      readonly batchId: string;
      readonly status: string;
      readonly requests: number;
      readonly results: Readonly<Record<LineResult, number>>;
      readonly inputTokens: number;
      readonly outputTokens: number;
      readonly billedUsd: string;
    }
  | {
      readonly event: 'results.read';
      readonly account: string;
      readonly batchId: string;
      readonly bytes: number;
      readonly whole: boolean;
    }
  | { readonly event: 'batch.deleted'; readonly account: string; readonly batchId: string }
  | {
      readonly event: 'webhook.sent';
      readonly account: string;
      readonly batchId: string;
      readonly type: string;
      readonly attempt: number;
      /** `null`: nobody answered. */
      readonly status: number | null;
    };
