// glibc 2.29 gave pow a second version, which differs in errno only. Linked with --wrap=pow, this one asks for the first, so that the
// agent runs with the glibc 2.28 of RHEL 8.
extern double first_pow(double base, double exponent);
__asm__(".symver first_pow,pow@GLIBC_2.2.5");

double __wrap_pow(double base, double exponent)
{
    return first_pow(base, exponent);
}
