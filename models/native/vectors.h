// What our C++ sources share: scratch memory, vectors of both number formats, the sigmoid, sums of lanes,
// transposition, the matrix unit's shapes, and pairs sorted by expert. For x86 processors with AVX-512.
#pragma once
#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#ifdef __AMX_TILE__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

typedef uint16_t bf16;  // the bits of a bfloat16

// Scratch memory that grows and is kept: fresh pages would cost more than a decoding step. One for each calling thread.
struct Scratch {
  char* data = nullptr;
  size_t size = 0;
  ~Scratch() { std::free(data); }
  char* need(size_t bytes) {
    if (bytes > size) {
      std::free(data);
      size = (bytes + 4095) / 4096 * 4096;
      data = static_cast<char*>(std::aligned_alloc(4096, size));
    }
    return data;
  }
};

inline __m512 widen(__m256i bits) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// What differs between the two number formats: how many numbers fill a vector, a masked load, multiply and add.
struct Float {
  typedef float type;
  typedef __m512 vector;
  static constexpr int64_t lanes = 16;
  static vector load(const float* p) { return _mm512_loadu_ps(p); }
  static vector load(const float* p, int64_t n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
  static __m512 fma(vector a, vector b, __m512 sum) { return _mm512_fmadd_ps(a, b, sum); }
  static void store(float* p, __m512 v, int64_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v); }
  static __m512 get(const float* p, int64_t n) { return load(p, n); }
};

#ifdef __AVX512BF16__
struct BFloat16 {
  typedef bf16 type;
  typedef __m512bh vector;
  static constexpr int64_t lanes = 32;
  static vector load(const bf16* p) { return (__m512bh)_mm512_loadu_si512(p); }
  static vector load(const bf16* p, int64_t n) {
    return (__m512bh)_mm512_maskz_loadu_epi16((__mmask32)((1ull << n) - 1), p);
  }
  static __m512 fma(vector a, vector b, __m512 sum) { return _mm512_dpbf16_ps(sum, a, b); }
  static void store(bf16* p, __m512 v, int64_t n) {
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), (__m256i)_mm512_cvtneps_pbh(v));
  }
  static __m512 get(const bf16* p, int64_t n) {
    return widen(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p));
  }
};
#endif

// e^x; relative error below 1e-7 between -87 and 88, where x is cut off. Cephes' polynomial (degree 5, Cody-Waite).
inline __m512 exp512(__m512 x) {
  x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-87.f)), _mm512_set1_ps(88.f));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
  p = _mm512_fmadd_ps(_mm512_mul_ps(p, r), r, _mm512_add_ps(r, _mm512_set1_ps(1.f)));
  return _mm512_scalef_ps(p, n);
}

inline __m512 sigmoid(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.f);
  return _mm512_div_ps(one, _mm512_add_ps(one, exp512(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}

inline __m512 silu(__m512 x) { return _mm512_mul_ps(x, sigmoid(x)); }

// Sums of the lanes of four vectors, in the four places of the result.
inline __m128 sums(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512d lo = _mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
  const __m512d hi = _mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
  const __m512 s = _mm512_add_ps(_mm512_castpd_ps(lo), _mm512_castpd_ps(hi));
  const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
  return _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
}

// 16 vectors of 16 numbers, as columns.
inline void transpose(__m512i* v) {
  __m512i t[16], u[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int h = 0; h < 2; ++h) {
      u[i + 2 * h] = _mm512_unpacklo_epi64(t[i + h], t[i + h + 2]);
      u[i + 2 * h + 1] = _mm512_unpackhi_epi64(t[i + h], t[i + h + 2]);
    }
  for (int j = 0; j < 4; ++j) {
    const __m512i a = _mm512_shuffle_i32x4(u[j], u[4 + j], 0x88), b = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0x88);
    const __m512i c = _mm512_shuffle_i32x4(u[j], u[4 + j], 0xdd), d = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0xdd);
    v[j] = _mm512_shuffle_i32x4(a, b, 0x88);
    v[4 + j] = _mm512_shuffle_i32x4(c, d, 0x88);
    v[8 + j] = _mm512_shuffle_i32x4(a, b, 0xdd);
    v[12 + j] = _mm512_shuffle_i32x4(c, d, 0xdd);
  }
}

constexpr int64_t TILE = 16;  // rows of a tile of the matrix unit

#ifdef __AMX_TILE__
// As the processor reads it: rows, and bytes of each, of eight tiles.
struct Tiles {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
};

// Whether the system lets this process use the matrix unit; it has to be asked.
inline bool may_use_tiles() {
  constexpr long request = 0x1023, data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request, data) == 0;
}
#endif

// Whether an index names one of N experts: a negative one is a very large number without its sign.
inline bool is_expert(int64_t index, int64_t experts) {
  return static_cast<uint64_t>(index) < static_cast<uint64_t>(experts);
}

// The (token, expert) pairs sorted by expert; pairs whose expert is none of 0 to N - 1 are excluded.
struct Plan {
  std::vector<int64_t> start, pair;
  Plan(const int64_t* index, int64_t pairs, int64_t experts) : start(experts + 1, 0), pair(pairs) {
    for (int64_t p = 0; p < pairs; ++p)
      if (is_expert(index[p], experts)) ++start[index[p] + 1];
    for (int64_t e = 0; e < experts; ++e) start[e + 1] += start[e];
    std::vector<int64_t> next(start.begin(), start.end() - 1);
    for (int64_t p = 0; p < pairs; ++p)
      if (is_expert(index[p], experts)) pair[next[index[p]]++] = p;
  }
};
}  // namespace
