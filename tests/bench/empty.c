/* empty.c - a preload that does nothing: what LD_PRELOAD itself costs. */
