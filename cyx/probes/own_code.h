/* The code of the extension that includes this, from where it begins (crti.o) to where it ends (the linker). */
#ifndef CYX_OWN_CODE_H
#define CYX_OWN_CODE_H

extern void _init(void) __attribute__((visibility("hidden")));
extern const char etext[] __attribute__((visibility("hidden")));

/* Have each page of it there: it has not run yet, or the kernel has taken it back. */
static void touch_code(long step) {
    for (volatile const char *place = (volatile const char *)_init; place < etext; place += step) (void)*place;
}

#endif
