import type { StepRequest } from '@millrace/contracts';

/** More of a wrong answer than this teaches a model nothing and costs its window. */
const MAX_ANSWER_CHARACTERS = 50_000;

/**
 * The conversation that asks for a better answer: the request's own messages, the wrong answer as the assistant's, and the
 * feedback as the user's. An empty answer is replaced by a word, because vendors refuse empty messages.
 */
export function repairMessages(
  request: StepRequest,
  wrongAnswer: string,
  feedback: string,
): StepRequest['messages'] {
  const answer = wrongAnswer.trim() === '' ? '(empty)' : wrongAnswer.slice(0, MAX_ANSWER_CHARACTERS);
  return [
    ...request.messages,
    { role: 'assistant', content: answer.toWellFormed() },
    {
      role: 'user',
      content: `${feedback}\n\nCorrect the answer. Answer with the corrected JSON alone, without any other text.`,
    },
  ];
}
