/* The headers without Python: pool, frame, checked and lock under random calls, each block's bytes looked at. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "checked.h"
#include "frame.h"
#include "lock.h"
#include "pool.h"

enum { MOST = 500 };

static uint64_t seed = 88172645463325252u;

static uint64_t at_random(uint64_t below)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return seed % below;
}

static void try_out(struct handle handle, long calls, size_t most, int scopes)
{
    static struct { unsigned char *at; size_t size; unsigned char value; } blocks[MOST];
    size_t count = 0;
    struct statistics now;
    for (long call = 0; call < calls; call++) {
        size_t i = count ? at_random(count) : 0;
        switch (at_random(5)) {
        case 0: case 1:
            if (count < MOST) {
                size_t size = 1 + at_random(most), alignment = (size_t)1 << at_random(5);
                unsigned char *block = handle_allocate(&handle, size, alignment);
                assert(block && (uintptr_t)block % alignment == 0 && handle.kind->owns(handle.state, block));
                blocks[count].at = memset(block, (int)(call & 255), size);
                blocks[count].size = size;
                blocks[count++].value = (unsigned char)call;
            }
            break;
        case 2: case 3:
            if (count) {
                for (size_t k = 0; k < blocks[i].size; k++)
                    assert(blocks[i].at[k] == blocks[i].value);
                handle_release(&handle, blocks[i].at);
                blocks[i] = blocks[--count];
            }
            break;
        default:
            if (count) {
                size_t size = 1 + at_random(most), kept = size < blocks[i].size ? size : blocks[i].size;
                unsigned char *moved = handle.kind->reallocate(handle.state, blocks[i].at, size);
                assert(moved);
                for (size_t k = 0; k < kept; k++)
                    assert(moved[k] == blocks[i].value);
                blocks[i].at = memset(moved, blocks[i].value, size);
                blocks[i].size = size;
            }
        }
        if (scopes && call % 1000 == 0) {
            assert(handle.kind->begin(handle.state));
            memset(handle_allocate(&handle, 5000, 64), 1, 5000);
            handle.kind->end(handle.state);
        }
        if (call % 5000 == 0) {
            assert(!handle.kind->invalid(handle.state));
            handle.kind->read(handle.state, &now);
            assert(now.live_blocks == count);
            handle.kind->reset(handle.state);
            count = 0;
        }
    }
}

/* A frame's span may begin where the one before it ends: the last block there is not the last one here. */
static void beside_each_other(void)
{
    struct frame frame;
    char *both = memory_map(8192, 4096);
    frame_make(&frame, NULL, 0);
    for (int i = 0; i < 2; i++) {
        frame.memory.spans[i].begin = (uintptr_t)both + i * 4096;
        atomic_init(&frame.memory.spans[i].end, (uintptr_t)both + (i + 1) * 4096);
    }
    atomic_init(&frame.memory.count, 2);
    atomic_init(&frame.memory.reserved, 8192);
    void *full = frame_allocate(&frame, 4096 - FRAME_HEADER, 1), *next = frame_allocate(&frame, 10, 1);
    frame_release(&frame, next);
    frame_release(&frame, full);
    assert(!frame_invalid(&frame));
    frame_unmake(&frame);
}

int main(int count, char **arguments)
{
    long calls = count > 1 ? atol(arguments[1]) : 100000;
    for (int guarded = 0; guarded < 2; guarded++) {
        struct pool pool;
        struct frame frame;
        struct checked checked;
        struct locked locked;
        pool_make(&pool, guarded ? checked_size(200, 16) : 200, 16, NULL, 0);
        frame_make(&frame, NULL, 0);
        struct handle handles[] = {{&POOL, &pool, 200}, {&FRAME, &frame, SIZE_MAX}};
        for (int i = 0; i < 2; i++) {
            struct handle inner = handles[i];
            checked_make(&checked, inner, i ? CHECKED_CLEARS : CHECKED_REMEMBERS, i ? FRAME_HEADER : 0, NULL);
            checked.least = 16;
            if (guarded)
                inner = (struct handle){&CHECKED, &checked, 200};
            locked_make(&locked, inner);
            try_out((struct handle){&LOCKED, &locked, 200}, calls, 200, i);
            assert(!checked.corruptions);
            locked_unmake(&locked);
            checked_unmake(&checked);
        }
        pool_unmake(&pool);
        frame_unmake(&frame);
    }
    beside_each_other();
    puts("fine");
}
