/* Ranks by Zipf's law: rank k comes in proportion to 1 / k**skew. */
#ifndef CYX_PATTERNS_ZIPF_H
#define CYX_PATTERNS_ZIPF_H

#include <math.h>

#include "words.h"

/* By inverting the integral of the density and rejecting what lies beyond the law (Hörmann and Derflinger, 1996):
 * no table, and not much more than one try for a rank. */
struct zipf {
    double skew;
    double most; /* ranks */
    double low, high; /* the integral at both ends */
    double sure; /* so close to its rank, a value needs no further look */
};

static inline double zipf_integral(const struct zipf *law, double x)
{
    double power = 1 - law->skew, logarithm = log(x);

    return fabs(power * logarithm) < 1e-8 ? logarithm : expm1(power * logarithm) / power;
}

static inline double zipf_inverse(const struct zipf *law, double integral)
{
    double power = 1 - law->skew, part = fmax(power * integral, -1);

    return exp(fabs(part) < 1e-8 ? integral : log1p(part) / power);
}

static inline double zipf_density(const struct zipf *law, double x)
{
    return exp(-law->skew * log(x));
}

static inline void zipf_init(struct zipf *law, uint64_t ranks, double skew)
{
    law->skew = skew;
    law->most = (double)ranks;
    law->low = zipf_integral(law, 1.5) - 1;
    law->high = zipf_integral(law, law->most + 0.5);
    law->sure = 2 - zipf_inverse(law, zipf_integral(law, 2.5) - zipf_density(law, 2));
}

/* Draw number `index` of the stream that the seed names: a rank less 1. */
static inline uint64_t zipf_draw(const struct zipf *law, uint64_t seed, uint64_t index)
{
    uint64_t word = random_word(seed, index);

    for (uint64_t further = 0;; further++) {
        double share = (double)(word >> 11) * 0x1p-53; /* from 0 to 1 */
        double integral = law->high + share * (law->low - law->high);
        double x = zipf_inverse(law, integral);
        double rank = fmin(fmax(floor(x + 0.5), 1), law->most);
        if (rank - x <= law->sure || integral >= zipf_integral(law, rank + 0.5) - zipf_density(law, rank))
            return (uint64_t)rank - 1;
        word = random_word(word, further);
    }
}

#endif
