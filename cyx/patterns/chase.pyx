# cython: language_level=3, embedsignature=True, cdivision=True
"""Pointer chase: each access has to wait for the one before, so that its time is the latency of memory."""

from libc.errno cimport EFAULT
from libc.stdint cimport uint64_t, uintptr_t

from cyx.patterns.arguments cimport LARGEST, WORD, whole
from cyx.patterns.running cimport Access, Pass

cdef extern from "chase.h" nogil:
    enum:
        CHASE_CHAINS

    struct permutation:
        uint64_t size

    void permutation_init(permutation* order, uint64_t size, uint64_t seed)

    ctypedef uintptr_t pointer

    struct cycle:
        permutation order
        size_t node
        size_t place

    pointer* cycle_link(const cycle* cycle, const unsigned char* memory, uint64_t i)
    void cycle_tie(const cycle* cycle, unsigned char* memory, size_t first, size_t last)
    uint64_t cycle_length(const cycle* cycle, const unsigned char* memory, size_t size)
    void run_chains "chase" (uintptr_t* chains, int count, size_t steps)


cdef int tie_part(Access* access) noexcept nogil:
    cycle_tie(<cycle*>access.more, access.target, access.first, access.last)
    access.accesses = access.last - access.first
    access.bytes = WORD * access.accesses
    return 0


cdef int measure_cycle(Access* access) noexcept nogil:
    access.checksum = cycle_length(<cycle*>access.more, access.source, access.size)
    return 0


cdef int chase_part(Access* access) noexcept nogil:
    """Follow the chains of one thread: it is one step of the pass."""
    cdef uintptr_t chains[CHASE_CHAINS]
    cdef cycle* nodes = <cycle*>access.more
    cdef size_t all_chains = access.value
    cdef size_t number
    cdef size_t i
    for i in range(access.count):
        number = access.first * access.count + i
        chains[i] = <uintptr_t>cycle_link(nodes, access.source, nodes.order.size // all_chains * number
                                          + nodes.order.size % all_chains * number // all_chains)
    run_chains(chains, access.count, access.stride)
    access.checksum = 0
    for i in range(access.count):
        if chains[i] - <uintptr_t>access.source > access.size - WORD:
            return EFAULT
        access.checksum += chains[i] - <uintptr_t>access.source
    access.accesses = access.stride * access.count
    access.bytes = WORD * access.accesses
    return 0


cdef class Cycle:
    """Nodes of memory, each with a pointer to the next, in one cycle through all of them and in random order.

    The pointers are written at once, and are addresses: they hold for this memory as it is mapped now. Whoever changes
    them meanwhile gets an ``OSError`` where they lead out of the memory.

    Args:
        memory: memory that can be written.
        node: bytes from one node to the next, 8 or more; what does not fill a last one is left alone.
        place: offset of the pointer in its node.
        seed: 0 to 2**64 - 1, by which the order is another one.
        offset: of the first node.
        length: bytes from there on; without it, all that follow.
        threads: that write the pointers, each its share of the order.
        first_touch: each thread touches its share of memory before.
    """

    cdef object memory
    cdef object offset
    cdef object length
    cdef uintptr_t address
    cdef cycle tied
    cdef readonly size_t node
    cdef readonly size_t place
    cdef readonly size_t nodes

    def __init__(self, memory, node=64, place=0, seed=0, *, offset=0, length=None, threads=1, first_touch=False):
        cdef Pass this = Pass(offset, length, threads, first_touch)
        cdef uint64_t key = whole("seed", seed, 0, <uint64_t>-1)
        self.node = whole("node", node, WORD, LARGEST)
        self.place = whole("place", place, 0, LARGEST)
        if self.place > self.node - WORD:
            raise ValueError(f"place={place}: a pointer of {WORD} bytes does not fit there in a node of {node}")
        this.write("memory", memory)
        self.nodes = this.access.size // self.node
        if self.nodes == 0:
            raise ValueError(f"node={node}: memory has {this.access.size} bytes, which is less than one")
        self.memory = memory
        self.offset = this.offset
        self.length = this.access.size
        self.address = <uintptr_t>this.access.target
        permutation_init(&self.tied.order, self.nodes, key)
        self.tied.node = self.node
        self.tied.place = self.place
        this.access.more = &self.tied
        this.run(tie_part, self.nodes)

    cdef Pass pass_over_memory(self, object threads):
        """Return a pass over the memory, which must still be where the pointers lead."""
        cdef Pass this = Pass(self.offset, self.length, threads, False)
        this.read("memory", self.memory)
        if <uintptr_t>this.access.source != self.address:
            raise ValueError("memory has moved since its pointers were written: make another Cycle")
        this.access.more = &self.tied
        return this

    def verify(self):
        """Follow all pointers once. ValueError where they are no longer one cycle through all nodes."""
        cdef Pass this = self.pass_over_memory(1)
        cdef uint64_t steps = this.look(measure_cycle)
        if steps != self.nodes:
            raise ValueError("memory no longer holds one cycle through all nodes: make another Cycle")

    def chase(self, steps, chains=1, *, threads=1):
        """Follow the pointers; an access is a step of a chain, the checksum the sum of the offsets where chains end.

        Chains begin at even distances along the cycle. Those of one thread are followed in turns, so that memory works
        on all of them at once.

        Args:
            steps: of each chain, 0 or more.
            chains: of each thread, 1 to 16.
            threads: each with chains of its own.
        """
        cdef Pass this = self.pass_over_memory(threads)
        this.anywhere = True
        this.access.stride = whole("steps", steps, 0, LARGEST)
        this.access.count = whole("chains", chains, 1, CHASE_CHAINS)
        this.access.value = this.access.count * this.threads
        return this.run(chase_part, this.threads)
