// What the app has asked its hub, beside pings, and what came of it.

import type { Value } from '../msgpack.js';
import { refusal, type NanostateError } from '../status.js';

/** What a hub answers, by keys; nil where there is nothing. */
export type Answer = (key: number) => Value;

export type QuestionName = 'forget' | 'stats';

export interface Question {
  readonly name: QuestionName;
  readonly token: number;
  /** What the hub says, once it has. */
  answer: Answer | undefined;
  /** Its link is gone: no answer comes. */
  isLost: boolean;
}

/** Why a hub has not withdrawn a value, as its answer says; none if it has. */
export function notForgotten(answer: Answer): NanostateError | undefined {
  const [status, text] = [answer(1), answer(2)];
  return status === 0 ? undefined : refusal(Number(status), String(text ?? ''));
}

export class Questions {
  #asked = 0;
  /** Those that were asked on this link and are not answered, by token. */
  readonly #waiting = new Map<number, Question>();

  /** One is asked now. None if a hub would leave another one unanswered for it: of those for counters it answers the last. */
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
