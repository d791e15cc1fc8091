// A table of all states on a hub, a row for each value of each sender.

/** 1536 is "1.5 KiB". */
export function inWords(bytes) {
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), 4);
  const figure = bytes / 1024 ** power;
  return `${figure.toFixed(power && figure < 100)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`;
}

/** The units of ages, in seconds, and up to how many seconds each is used. */
const UNITS = [['s', 1, 120], ['min', 60, 7200], ['h', 3600, 172800], ['days', 86400, Infinity]];

function ageInWords(millis) {
  const seconds = Math.max(0, millis) / 1000;
  const [unit, size] = UNITS.find(([, , end]) => seconds < end);
  return `${Math.round(seconds / size)} ${unit}`;
}

/** A value of any kind in one line. */
function oneLine(value) {
  if (typeof value === 'string') return value.slice(0, 1000).replace(/\s+/g, ' ');
  if (value instanceof Uint8Array) return inWords(value.length);
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'number') return String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));
  if (typeof value !== 'object' || value === null) return String(value);
  // What JSON does not know, also inside of arrays and maps.
  const plain = (_, one) =>
    typeof one === 'bigint' || one instanceof Uint8Array ? oneLine(one) : one instanceof Map ? [...one] : one;
  return JSON.stringify(value, plain).slice(0, 1000);
}

const collator = new Intl.Collator('en', { numeric: true });
const orders = {
  name: (a, b) => collator.compare(a.state.name, b.state.name) || collator.compare(a.state.sender, b.state.sender),
  value: compareValues,
  sender: (a, b) => collator.compare(a.state.sender, b.state.sender),
  age: (a, b) => b.state.time - a.state.time,
};

/** Numbers come first, by size. */
function compareValues(a, b) {
  const [x, y] = [a.state.value, b.state.value];
  const isNumber = (value) => ['number', 'bigint'].includes(typeof value);
  if (isNumber(x) && isNumber(y)) return x < y ? -1 : x > y ? 1 : 0;
  return isNumber(y) - isNumber(x) || collator.compare(a.text, b.text);
}

/** The end of a name that is always seen: where the middle is left out is for the style sheet to say. */
const TAIL = 12;

function cell(row, name) {
  const cell = row.appendChild(document.createElement('td'));
  cell.className = name;
  return cell;
}

/** Sets a text if it is another one: what does not change stays selected, and keeps its tooltip. */
function setText(element, text, title = text) {
  if (element.textContent !== text) element.textContent = text;
  if (element.title !== title) element.title = title;
}

class Row {
  constructor(state, isBytes) {
    this.isBytes = isBytes;
    this.element = document.createElement('tr');
    const letters = [...state.name], at = letters.length > 1.5 * TAIL ? letters.length - TAIL : letters.length;
    const name = cell(this.element, 'name');
    name.title = state.name;
    const middle = name.appendChild(document.createElement('span'));
    for (const part of [letters.slice(0, at), letters.slice(at)]) {
      middle.appendChild(document.createElement('span')).textContent = part.join('');
    }
    this.value = cell(this.element, 'value');
    setText(cell(this.element, 'sender'), state.sender);
    this.age = cell(this.element, 'age');
    this.take(state);
  }

  take(state) {
    this.state = state;
    this.words = undefined;
  }

  /** The value in one line: made once, and only if somebody asks, since it may be large and change often. */
  get text() {
    return (this.words ??= oneLine(this.state.value));
  }

  show(now, isStale) {
    const { value, time, retained } = this.state;
    setText(this.value, this.isBytes && Number.isFinite(value) ? inWords(value) : this.text, this.text);
    const held = retained ? 'the hub held it when this page came' : 'it came while this page was there';
    setText(this.age, time ? ageInWords(now - time) : '-', isStale ? `${held}; the program that set it is gone` : held);
    this.element.classList.toggle('retained', retained);
    this.element.classList.toggle('stale', isStale);
  }
}

/** More rows than this are not shown: a filter finds the others. */
const MOST = 200;
/** The time between two looks at what has changed, in milliseconds. */
const PAUSE = 250;

/**
 * Has a table show what a client receives; `filter` is an input, `count` takes how many rows there are. Of which names the
 * numbers are bytes, says `isBytes`.
 */
export function showStates(ns, { table, filter, count, isBytes }) {
  const rows = new Map(), body = table.tBodies[0], headings = [...table.tHead.rows[0].cells];
  let order = 'name', sign = 1, timer;

  function show() {
    timer = undefined;
    const word = filter.value.trim().toLowerCase();
    const fits = ({ state: { name, sender } }) => name.toLowerCase().includes(word) || sender.toLowerCase().includes(word);
    const found = [...rows.values()].filter(fits);
    // Equal ones are in the order of their names.
    found.sort((a, b) => sign * orders[order](a, b) || orders.name(a, b));
    const shown = found.slice(0, MOST), now = Date.now();
    shown.forEach((row) => row.show(now, ns.isStale(row.state)));
    if (shown.length !== body.rows.length || shown.some(({ element }, i) => element !== body.rows[i])) {
      body.replaceChildren(...shown.map(({ element }) => element));
    }
    const most = found.length > MOST ? `, the first ${MOST} are shown` : '';
    count.textContent = found.length === rows.size ? `${rows.size}${most}` : `${found.length} of ${rows.size}${most}`;
  }
  const soon = () => (timer ??= setTimeout(show, PAUSE));

  ns.on('**', (state) => {
    const key = JSON.stringify([state.sender, state.name]), row = rows.get(key);
    if (state.kind === 'cleared') rows.delete(key);
    else if (row) row.take(state);
    else rows.set(key, new Row(state, isBytes(state.name)));
    soon();
  });
  ns.onStale(soon);
  filter.oninput = show;
  for (const heading of headings) {
    const by = heading.dataset.by;
    heading.querySelector('button').onclick = () => {
      sign = order === by ? -sign : 1;
      order = by;
      for (const one of headings) {
        one.ariaSort = one !== heading ? null : sign > 0 ? 'ascending' : 'descending';
      }
      show();
    };
  }
  setInterval(soon, 1000);
  show();
}
