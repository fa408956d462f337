/** Work that nobody waits for except the end of the process. */
export interface TaskGroup {
  /** Lets a task run; an error goes to `onError`. */
  run(task: () => Promise<void>): void;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

export function createTaskGroup(onError: (error: unknown) => void): TaskGroup {
  const tasks = new Set<Promise<void>>();
  return {
    run(task) {
      const running = task()
        .catch(onError)
        .finally(() => tasks.delete(running));
      tasks.add(running);
    },
    async idle() {
      while (tasks.size > 0) await Promise.all(tasks);
    },
  };
}
