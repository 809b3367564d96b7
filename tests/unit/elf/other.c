/* Symbols that must be in a second file; see image.c. */
__attribute__((used)) static int twin(void)
{
    return 2;
}

__attribute__((visibility("hidden"))) int shadowed(void);
__attribute__((visibility("hidden"))) int shadowed(void)
{
    return 2;
}

int other(void);
int other(void)
{
    return twin() + shadowed();
}
