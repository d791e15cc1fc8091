// What the app has asked its hub, beside pings, and the answers.

import type { Value } from '../msgpack.js';
import { refusal, type NanostateError } from '../status.js';

/** The fields of an answer, by key; nil where there is none. */
export type Answer = (key: number) => Value;

export type QuestionName = 'forget' | 'stats';

export interface Question {
  readonly name: QuestionName;
  readonly token: number;
  /** Set when the hub has answered. */
  answer: Answer | undefined;
  /** The link is gone, so no answer will come. */
  isLost: boolean;
}

/** Why the hub has not withdrawn a value, according to its answer; undefined if it has. */
export function notForgotten(answer: Answer): NanostateError | undefined {
  const [status, text] = [answer(1), answer(2)];
  return status === 0 ? undefined : refusal(Number(status), String(text ?? ''));
}

export class Questions {
  #asked = 0;
  /** Questions asked on this link and not answered yet, by token. */
  readonly #waiting = new Map<number, Question>();

  /** Begins a question. Undefined while one for counters waits: a hub may answer only the latest of those. */
  ask(name: QuestionName): Question | undefined {
    if (name === 'stats' && [...this.#waiting.values()].some((other) => other.name === name)) {
      return undefined;
    }
    const question = { name, token: ++this.#asked, answer: undefined, isLost: false };
    this.#waiting.set(question.token, question);
    return question;
  }

  /** An answer came. */
  answered(token: bigint, answer: Answer) {
    const question = this.#waiting.get(Number(token));
    this.#waiting.delete(Number(token));
    question && (question.answer = answer);
  }

  /** The link is gone. */
  unlink() {
    this.#waiting.forEach((question) => (question.isLost = true));
    this.#waiting.clear();
  }
}
