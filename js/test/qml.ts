// A QML program for tests. Those who have built one say where it is: ctest runs qt/tests/qml/window.cpp.

import { Program, path } from './support.js';

/** Where it is; without it the tests are those of the others. */
export const WINDOW = process.env['NANOSTATE_WINDOW'];

/** A QML file, loaded by a program of its own. */
export class Window {
  readonly #program: Program;

  constructor(identity: string, url: string, file: string) {
    this.#program = new Program(WINDOW!, [identity, url, path(file)]);
  }

  async #ask(line: string): Promise<any> {
    this.#program.write(line);
    const answer = JSON.parse(await this.#program.line());
    if (typeof answer === 'string') {
      throw new Error(`${line}: ${answer}`);
    }
    return answer[0];
  }

  /** What an expression is in the file. */
  evaluate(expression: string): Promise<any> {
    return this.#ask(`= ${expression}`);
  }

  /** The type of C++ that a value has. */
  type(sender: string, name: string): Promise<string> {
    return this.#ask(`type ${sender} ${name}`);
  }

  /** Drags the handle of a slider from one value to another. */
  drag(slider: string, from: number, to: number): Promise<void> {
    return this.#ask(`drag ${slider} ${from} ${to}`);
  }

  kill(): Promise<void> {
    return this.#program.kill();
  }
}
