// Patterns over the names of states: `*` is any part of one segment, a segment `**` any number of segments. The same
// rules as src/pattern.rs, which tests/vectors/patterns.json holds both to.

import { NanostateError } from './status.js';
import { MAX_NAME, utf8Length } from './wire.js';

/** The most segments between two `**`: they are tried at each segment of a name. */
const MAX_BETWEEN = 8;
const ANY = '**';

/** Whether a name matches. Throws a {@link NanostateError} for what cannot be a pattern. */
export function compile(text: string): (name: string) => boolean {
  const segments = text.split('/');
  const length = utf8Length(text);
  const between = mostBetween(segments);
  const fault =
    text === '' ? 'is empty'
    : length > MAX_NAME ? `has ${length} bytes, at most ${MAX_NAME} are allowed`
    : text.includes('\0') ? 'contains NUL'
    : between > MAX_BETWEEN ? `has ${between} segments between two ${ANY}, ${MAX_BETWEEN} are allowed`
    : undefined;
  if (fault) {
    throw new NanostateError('NS_ERR_NAME', `pattern ${fault}: "${text.slice(0, 60)}"`);
  }
  if (!text.includes('*')) {
    return (name) => name === text;
  }
  const wanted = segments.map((segment) => (segment === ANY ? ANY : segment.replace(/\*+/g, '*')));
  return (name) => matches(wanted, name.split('/'));
}

/** The most segments between two `**`. */
function mostBetween(segments: string[]): number {
  const stars = segments.flatMap((segment, at) => (segment === ANY ? [at] : []));
  return Math.max(0, ...stars.slice(1).map((at, i) => at - stars[i]! - 1));
}

function matches(pattern: string[], name: string[]): boolean {
  let [from, start] = [0, 0];
  let [to, end] = [pattern.length, name.length];
  // What stands before the first `**` and behind the last has only one place.
  for (; pattern[from] !== ANY; from++, start++) {
    if (from === to || start === end) {
      return from === to && start === end;
    }
    if (!segmentMatches(pattern[from]!, name[start]!)) {
      return false;
    }
  }
  for (; pattern[to - 1] !== ANY; to--, end--) {
    if (end === start || !segmentMatches(pattern[to - 1]!, name[end - 1]!)) {
      return false;
    }
  }
  // What stands between two of them takes the first place where it fits: that leaves most to the others.
  let [retryAt, retryFrom] = [start, from];
  for (let at = start; from < to; ) {
    if (pattern[from] === ANY) {
      [retryAt, retryFrom] = [at, ++from];
    } else if (at >= end) {
      return false;
    } else if (segmentMatches(pattern[from]!, name[at]!)) {
      from++;
      at++;
    } else {
      at = ++retryAt;
      from = retryFrom;
    }
  }
  return true;
}

/** Whether one segment matches, `*` standing for any characters. */
function segmentMatches(pattern: string, segment: string): boolean {
  const pieces = pattern.split('*');
  const first = pieces.shift()!;
  const last = pieces.pop();
  if (last === undefined) {
    return segment === first;
  }
  const end = segment.length - last.length;
  let at = first.length;
  if (end < at || !segment.startsWith(first) || !segment.endsWith(last)) {
    return false;
  }
  for (const piece of pieces) {
    at = segment.indexOf(piece, at);
    if (at < 0 || (at += piece.length) > end) {
      return false;
    }
  }
  return true;
}
