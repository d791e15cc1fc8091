// What ends the command with the process that started it, however that ends: a pipe to it, which the system closes.

/** The number that the pipe has in the command. */
export const LIFELINE = 3;

/** Has the command end when the pipe does. */
export const untilEof = ['--until-eof', String(LIFELINE)];
