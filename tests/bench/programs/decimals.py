"""Decimal arithmetic by the pure-Python half of the decimal module: interest, roots, pi."""

from _pydecimal import Context, Decimal, ROUND_HALF_EVEN, localcontext


def interest(principal, rate, months):
    """The payments of a loan, each rounded to cents."""
    cent = Decimal("0.01")
    monthly = rate / 12
    payment = principal * monthly / (1 - (1 + monthly) ** -months)
    payment = payment.quantize(cent, rounding=ROUND_HALF_EVEN)
    balance, paid = principal, Decimal(0)
    for _ in range(months):
        share = (balance * monthly).quantize(cent)
        balance = balance + share - payment
        paid += share
    return paid


def root(number):
    guess = number / 2
    for _ in range(12):
        guess = (guess + number / guess) / 2
    return guess


def pi(digits):
    with localcontext(Context(prec=digits)):
        last, total, step = Decimal(0), Decimal(3), Decimal(3)
        n, d, na, da = 1, 0, 0, 24
        while total != last:
            last = total
            n, na = n + na, na + 8
            d, da = d + da, da + 32
            step = step * n / d
            total += step
        return +total


def run():
    paid = [interest(Decimal(principal), Decimal("0.045"), 60) for principal in (9000, 250000)]
    roots = sum(root(Decimal(n)) for n in range(2, 26))
    return "%s %s %.12f %s" % (paid[0], paid[1], roots, str(pi(160))[-8:])
