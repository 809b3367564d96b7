/* elf_error.c - in the place of libelf.a's member of the same name, which alone is not made for a
 * shared object: it keeps the number of the last error in thread-local storage as programs may
 * (R_X86_64_TPOFF32). Nothing here asks for that number. */

/* libelf, libelf/libelfP.h: an internal function, called for each error. */
void __libelf_seterrno(int value);
void __libelf_seterrno(int value)
{
    (void)value;
}
