/*
 * Macros that headers of others define, in one place: those of windows.h, X11, Qt, curses, glib and the like. Programs
 * include our headers after such headers, and before them.
 */
#ifndef MACROS_H
#define MACROS_H

/* windows.h */
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define ERROR 0
#define NO_ERROR 0
#define IN
#define OUT
#define OPTIONAL
#define CALLBACK __stdcall
#define DELETE 0x00010000L
#define TRUE 1
#define FALSE 0
#define CONST const
#define VOID void
#define STRICT 1
#define interface struct
#define small char
#define near
#define far
#define GetMessage GetMessageW
#define SendMessage SendMessageW

/* X11 */
#define Bool int
#define Status int
#define True 1
#define False 0
#define None 0L
#define Success 0
#define Always 2
#define Complex 0
#define Above 0
#define Below 1

/* Qt */
#define forever for (;;)
#define foreach(a, b) for (a : b)
#define signals public
#define slots
#define emit

/* curses, where it defines macros */
#define move(y, x) wmove(stdscr, (y), (x))
#define timeout(delay) wtimeout(stdscr, (delay))
#define clear() wclear(stdscr)
#define erase() werase(stdscr)
#define refresh() wrefresh(stdscr)
#define getch() wgetch(stdscr)
#define border(ls) wborder(stdscr, ls)
#define OK 0
#define ERR (-1)

/* glib, sys/param.h, sys/sysmacros.h, Arduino, AssertMacros.h, gnu++ */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ABS(a) ((a) < 0 ? -(a) : (a))
#define CLAMP(x, low, high) MIN(MAX(x, low), high)
#define major(dev) ((int)((dev) >> 8))
#define minor(dev) ((int)((dev) & 0xff))
#define abs(x) ((x) > 0 ? (x) : -(x))
#define check(assertion) ((void)(assertion))
#ifndef linux
#define linux 1
#endif
#ifndef unix
#define unix 1
#endif

#endif
