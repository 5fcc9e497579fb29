// Products with packed weights of 2 to 8 bits, for x86 processors with AVX-512 VNNI; other than 4 and 8 bits with VBMI,
// too. Where there is a matrix unit (AMX), it multiplies many rows: the same integers, so the same results.
//
// The codes of weights are unsigned integers without gaps and stay as the model stores them. A row of inputs is
// rounded to signed bytes, with a scale for each CHUNK of columns of its own, so that a large entry spoils its
// neighbours alone. The processor multiplies the two exactly, into integers; those of a chunk are scaled and added in
// float32. For few rows, weights are read where they lie, as rows; for many, those of 32 outputs are put side by side
// first, so that one number of the inputs meets 16 outputs.
// Shapes: R rows, I inputs, O outputs; T tokens, D width, K chosen experts, N experts, M hidden neurons of each.
#include "vectors.h"

namespace {

constexpr int64_t CHUNK = 64;    // columns that share a scale of the inputs: one vector of bytes
constexpr int64_t HALF = 32;     // columns that groups of weights are multiples of
constexpr int64_t BLOCK = 32;    // outputs of one task
constexpr int64_t FEW = 8;       // rows up to which weights are read where they lie
constexpr int64_t AHEAD = 16;    // rows of weights that are fetched before they are needed
constexpr int64_t TOKENS = 4096; // tokens of one pass
constexpr int64_t MOST = 512;    // rows that one task takes

inline float number(const float* p) { return *p; }
inline float number(const bf16* p) {
  const uint32_t bits = static_cast<uint32_t>(*p) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// A matrix (O, I): rows of `row_bytes` bytes of codes of so many bits, `groups` scales (and zero points, or null) for
// each, of `per` halves of chunks each.
template <class F>
struct Matrix {
  const uint8_t* words;
  const typename F::type* scale;
  const uint8_t* zero;
  int64_t outputs, row_bytes, groups, per;
  int bits;
  const uint8_t* row(int64_t o) const { return words + o * row_bytes; }
  Matrix expert(int64_t e) const {
    const int64_t rows = e * outputs;
    return {words + rows * row_bytes, scale + rows * groups, zero ? zero + rows * groups : nullptr,
            outputs, row_bytes, groups, per, bits};
  }
  // The code of 0 where no group has a zero point of its own.
  int middle() const { return 1 << (bits - 1); }
  // What sums of inputs are taken times: the middle, or 1 where zero points come in later.
  int times() const { return zero ? 1 : middle(); }
  // Whether a group can end within a chunk.
  bool splits() const { return groups > 1 && per % 2; }
};

// The group of half a chunk; beyond the last column, where inputs are 0, the last one.
inline int64_t group_of(int64_t half, int64_t per, int64_t groups) { return std::min(half / per, groups - 1); }

// Eight codes of so many bits fill as many bytes: where each of them begins, as bytes of their own, and at which bit.
struct Places {
  alignas(64) uint8_t byte[64], bit[64];
  constexpr explicit Places(int bits) : byte{}, bit{} {
    for (int i = 0; i < 64; ++i) {
      byte[i] = static_cast<uint8_t>(i / 8 * bits + i % 8);
      bit[i] = static_cast<uint8_t>(i % 8 * bits);
    }
  }
};
constexpr Places PLACES[8] = {Places(0), Places(1), Places(2), Places(3), Places(4), Places(5), Places(6), Places(7)};

constexpr int ANY = 0;  // in the place of a constant number of bits: that of the matrix, neither 4 nor 8

// The codes of one chunk of a row, a byte each.
template <int BITS>
inline __m512i codes(const uint8_t* row, int64_t chunk, int64_t row_bytes, int bits) {
  const int64_t bytes = CHUNK / 8 * (BITS == ANY ? bits : BITS);
  const int64_t n = std::min(bytes, row_bytes - chunk * bytes);
  const uint8_t* at = row + chunk * bytes;
  if (BITS == 4) {
    const __m256i both = n == bytes ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at))
                                    : _mm256_maskz_loadu_epi8((__mmask32)((1u << n) - 1), at);
    const __m512i wide = _mm512_cvtepu8_epi16(both);
    return _mm512_and_si512(_mm512_or_si512(wide, _mm512_slli_epi16(wide, 4)), _mm512_set1_epi8(15));
  }
  const __m512i all = _mm512_maskz_loadu_epi8(n == 64 ? ~0ull : (1ull << n) - 1, at);
#ifdef __AVX512VBMI__
  if (BITS == ANY) {
    const __m512i apart = _mm512_permutexvar_epi8(_mm512_load_si512(PLACES[bits].byte), all);
    const __m512i first = _mm512_multishift_epi64_epi8(_mm512_load_si512(PLACES[bits].bit), apart);
    return _mm512_and_si512(first, _mm512_set1_epi8(static_cast<char>((1 << bits) - 1)));
  }
#endif
  return all;
}

// Rows of inputs as bytes: for each chunk its scale, and minus the sum of its bytes times the middle of the weights'
// grid (times 1 where each group has a zero point of its own), of four neighbours each (`lanes`) and of each half
// (`sum`, two numbers).
struct Inputs {
  int8_t* bytes;
  float* scale;
  int32_t *lanes, *sum;
  int64_t chunks;
  // What the products of a chunk (PARTS 1), or of one half of it (2), begin with.
  template <int PARTS>
  int32_t less(int64_t place, int64_t part) const {
    return PARTS == 2 ? sum[2 * place + part] : sum[2 * place] + sum[2 * place + 1];
  }
  static int64_t size(int64_t rows, int64_t depth) {
    return rows * ((depth + CHUNK - 1) / CHUNK) * (CHUNK + sizeof(float) + 18 * sizeof(int32_t)) + 64;
  }
  // `memory` begins at a multiple of 64 bytes
  Inputs(char* memory, int64_t rows, int64_t depth) : chunks((depth + CHUNK - 1) / CHUNK) {
    bytes = reinterpret_cast<int8_t*>(memory);
    lanes = reinterpret_cast<int32_t*>(memory + rows * chunks * CHUNK);
    sum = lanes + rows * chunks * 16;
    scale = reinterpret_cast<float*>(sum + 2 * rows * chunks);
  }
};

// `times`: what their sums are taken times.
template <class F>
void to_bytes(const typename F::type* x, int64_t depth, int times, const Inputs& to, int64_t row) {
  const __m512i middle = _mm512_set1_epi32(times);
  for (int64_t c = 0; c < to.chunks; ++c) {
    __m512 v[4], most = _mm512_setzero_ps(), wrong = _mm512_setzero_ps();
    for (int i = 0; i < 4; ++i) {
      const int64_t at = c * CHUNK + 16 * i, n = std::max<int64_t>(0, std::min<int64_t>(16, depth - at));
      v[i] = n ? F::get(x + at, n) : _mm512_setzero_ps();
      most = _mm512_max_ps(most, _mm512_abs_ps(v[i]));
      wrong = _mm512_fmadd_ps(v[i], _mm512_setzero_ps(), wrong);  // not a number where an entry is not finite
    }
    const float reach = _mm512_reduce_max_ps(most);
    const bool finite = _mm512_cmp_ps_mask(wrong, wrong, _CMP_UNORD_Q) == 0;
    const bool some = finite && reach > 1e-30f;
    const __m512 steps = _mm512_set1_ps(some ? 127.f / reach : 0.f);
    __m512i all = _mm512_setzero_si512();
    const auto part = [&](int i) {
      return _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(some ? _mm512_mul_ps(v[i], steps) : _mm512_setzero_ps()));
    };
    all = _mm512_inserti32x4(all, part(0), 0);
    all = _mm512_inserti32x4(all, part(1), 1);
    all = _mm512_inserti32x4(all, part(2), 2);
    all = _mm512_inserti32x4(all, part(3), 3);
    const int64_t place = row * to.chunks + c;
    const __m512i four = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), all);
    const __m512i lanes = _mm512_mullo_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), four), middle);
    _mm512_storeu_si512(to.bytes + place * CHUNK, all);
    _mm512_storeu_si512(to.lanes + place * 16, lanes);
    to.sum[2 * place] = _mm512_mask_reduce_add_epi32(0x00ff, lanes);
    to.sum[2 * place + 1] = _mm512_mask_reduce_add_epi32(0xff00, lanes);
    to.scale[place] = finite ? (some ? reach / 127.f : 0.f) : std::nanf("");
  }
}

// Two numbers, each in half of the lanes.
inline __m512 halves(float a, float b) { return _mm512_insertf32x8(_mm512_set1_ps(a), _mm256_set1_ps(b), 1); }
inline __m512i halves(int32_t a, int32_t b) { return _mm512_inserti64x4(_mm512_set1_epi32(a), _mm256_set1_epi32(b), 1); }

enum Groups { WHOLE, CHUNKS, SPLIT };  // one for each row, of whole chunks, or such that end within a chunk

// out[r * BLOCK + j] = <row rows[r] of x, output first + j> for four outputs and R rows. Meanwhile the four rows of
// weights at `ahead` are fetched into the second-level cache.
template <class F, int BITS, int R, Groups G>
inline void few(const Matrix<F>& w, int64_t first, const Inputs& x, const int64_t* rows, float* out,
                const uint8_t* ahead) {
  const uint8_t *row[4], *zero[4];
  const typename F::type* scale[4];
  for (int64_t j = 0; j < 4; ++j) {
    const int64_t o = std::min(first + j, w.outputs - 1);  // beyond the last output: any, it is not used
    row[j] = w.words + o * w.row_bytes;
    scale[j] = w.scale + o * w.groups;
    zero[j] = w.zero + (w.zero ? o * w.groups : 0);
  }
  __m512 sum[R][4];
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < 4; ++j) sum[r][j] = _mm512_setzero_ps();
  const int64_t span = G == WHOLE ? x.chunks : G == CHUNKS ? w.per / 2 : 1;  // chunks that share their groups
  for (int64_t begin = 0; begin < x.chunks; begin += span) {
    const int64_t g = group_of(2 * begin, w.per, w.groups), next = group_of(2 * begin + 1, w.per, w.groups);
    const int64_t end = std::min(x.chunks, begin + span);
    __m512 factor[4];
    __m512i middle[4] = {};
    for (int j = 0; j < 4; ++j) {
      factor[j] = G == SPLIT ? halves(number(scale[j] + g), number(scale[j] + next)) : _mm512_set1_ps(number(scale[j] + g));
      if (w.zero)
        middle[j] = G == SPLIT ? halves(int32_t(zero[j][g]), int32_t(zero[j][next])) : _mm512_set1_epi32(zero[j][g]);
    }
    for (int64_t c = begin; c < end; ++c) {
      __m512i weights[4];
      for (int j = 0; j < 4; ++j) {
        weights[j] = codes<BITS>(row[j], c, w.row_bytes, w.bits);
        _mm_prefetch(reinterpret_cast<const char*>(ahead + j * w.row_bytes + c * (CHUNK / 8) * w.bits), _MM_HINT_T1);
      }
      for (int r = 0; r < R; ++r) {
        const int64_t place = rows[r] * x.chunks + c;
        const __m512i a = _mm512_loadu_si512(x.bytes + place * CHUNK), less = _mm512_loadu_si512(x.lanes + place * 16);
        const __m512 step = _mm512_set1_ps(x.scale[place]);
        for (int j = 0; j < 4; ++j) {
          const __m512i start = w.zero ? _mm512_mullo_epi32(less, middle[j]) : less;
          const __m512 product = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(start, weights[j], a));
          const __m512 by = G == WHOLE ? step : _mm512_mul_ps(step, factor[j]);
          sum[r][j] = _mm512_fmadd_ps(product, by, sum[r][j]);
        }
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    __m128 four = sums(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
    if (G == WHOLE)
      four = _mm_mul_ps(four, _mm_setr_ps(number(scale[0]), number(scale[1]), number(scale[2]), number(scale[3])));
    _mm_storeu_ps(out + r * BLOCK, four);
  }
}

template <class F, int BITS, Groups G>
inline void few_rows(const Matrix<F>& w, int64_t first, const Inputs& x, const int64_t* rows, int64_t count, float* out,
                     const uint8_t* ahead) {
  while (count > 0) {
    switch (std::min<int64_t>(count, 4)) {
      case 4: few<F, BITS, 4, G>(w, first, x, rows, out, ahead); break;
      case 3: few<F, BITS, 3, G>(w, first, x, rows, out, ahead); break;
      case 2: few<F, BITS, 2, G>(w, first, x, rows, out, ahead); break;
      default: few<F, BITS, 1, G>(w, first, x, rows, out, ahead);
    }
    rows += 4, out += 4 * BLOCK, count -= 4;
  }
}

bool matrix_unit = false;  // whether it is used: there is one, and the system lets us

// Inputs as the matrix unit reads them: TILE rows side by side chunk by chunk, their scales, and what the products of
// both halves of a chunk begin with.
struct Tiled {
  int8_t* bytes;
  float *scale, *less;
  int64_t chunks;
  static int64_t tiles(int64_t rows) { return (rows + TILE - 1) / TILE; }
  static int64_t size(int64_t tiles, int64_t chunks) {
    return tiles * chunks * TILE * (CHUNK + 3 * sizeof(float));
  }
  // `memory` begins at a multiple of 64 bytes
  Tiled(char* memory, int64_t tiles, int64_t chunks) : chunks(chunks) {
    bytes = reinterpret_cast<int8_t*>(memory);
    scale = reinterpret_cast<float*>(memory + tiles * chunks * TILE * CHUNK);
    less = scale + tiles * chunks * TILE;
  }
  int64_t place(int64_t tile, int64_t chunk) const { return (tile * chunks + chunk) * TILE; }
  void take(int64_t tile, const Inputs& x, const int64_t* rows, int64_t count) const {
    for (int64_t c = 0; c < chunks; ++c)
      for (int64_t i = 0; i < TILE; ++i) {
        const int64_t to = place(tile, c) + i, from = rows[std::min(i, count - 1)] * chunks + c;
        _mm512_store_si512(bytes + to * CHUNK, _mm512_loadu_si512(x.bytes + from * CHUNK));
        scale[to] = x.scale[from];
        less[2 * to] = static_cast<float>(x.sum[2 * from]);
        less[2 * to + 1] = static_cast<float>(x.sum[2 * from + 1]);
      }
  }
};

// What the codes of a chunk of a row are above 0.
template <class F>
inline __m512i middle_of(const Matrix<F>& w, int64_t o, int64_t c) {
  if (!w.zero) return _mm512_set1_epi8(static_cast<char>(w.middle()));
  const uint8_t* zero = w.zero + o * w.groups;
  const char first = zero[group_of(2 * c, w.per, w.groups)], second = zero[group_of(2 * c + 1, w.per, w.groups)];
  return _mm512_inserti64x4(_mm512_set1_epi8(first), _mm256_set1_epi8(second), 1);
}

// The weights of BLOCK outputs for many rows: of each chunk 16 times 4 columns, of 2 times 16 outputs each. Those for the
// matrix unit are what codes are above 0, where bytes can hold that.
struct Panel {
  uint8_t* bytes;
  float* scale;   // (groups, BLOCK)
  int32_t* zero;  // (groups, BLOCK), or null
  int64_t groups, per;
  bool splits, is_signed;
};

template <class F, int BITS>
Panel side_by_side(const Matrix<F>& w, int64_t first, int64_t chunks, Scratch& scratch) {
  const int64_t bytes = chunks * BLOCK * CHUNK, entries = w.groups * BLOCK;
  char* memory = scratch.need(bytes + entries * (sizeof(float) + sizeof(int32_t)));
  Panel to{reinterpret_cast<uint8_t*>(memory), reinterpret_cast<float*>(memory + bytes), nullptr, w.groups, w.per,
           w.splits(), matrix_unit && (!w.zero || BITS != 8)};
  if (w.zero) to.zero = reinterpret_cast<int32_t*>(to.scale + entries);
  for (int64_t n = 0; n < BLOCK; ++n) {
    const int64_t o = std::min(first + n, w.outputs - 1);
    for (int64_t g = 0; g < w.groups; ++g) {
      to.scale[g * BLOCK + n] = number(w.scale + o * w.groups + g);
      if (w.zero) to.zero[g * BLOCK + n] = w.zero[o * w.groups + g];
    }
  }
  for (int64_t c = 0; c < chunks; ++c)
    for (int64_t half = 0; half < 2; ++half) {
      __m512i v[16];
      for (int64_t n = 0; n < 16; ++n) {
        const int64_t o = std::min(first + 16 * half + n, w.outputs - 1);
        v[n] = codes<BITS>(w.words + o * w.row_bytes, c, w.row_bytes, w.bits);
        if (to.is_signed) v[n] = _mm512_sub_epi8(v[n], middle_of(w, o, c));
      }
      transpose(v);
      for (int64_t k = 0; k < 16; ++k) _mm512_store_si512(to.bytes + ((c * 16 + k) * 2 + half) * CHUNK, v[k]);
    }
  return to;
}

// Whole chunks (PARTS 1) or halves of them (2), each with the scales of its group.
template <int R, int PARTS>
inline void tile(const Panel& w, const Inputs& x, const int64_t* rows, float* out) {
  __m512 sum[R][2];
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  for (int64_t part = 0; part < PARTS * x.chunks; ++part) {
    const int64_t c = part / PARTS, g = group_of(2 / PARTS * part, w.per, w.groups);
    const int64_t from = part % PARTS * 16 / PARTS, to = from + 16 / PARTS;
    __m512i product[R][2];
    const int8_t* bytes[R];
    for (int r = 0; r < R; ++r) {
      const int64_t place = rows[r] * x.chunks + c;
      bytes[r] = x.bytes + place * CHUNK;
      product[r][0] = product[r][1] = _mm512_set1_epi32(x.less<PARTS>(place, part % PARTS));
      if (w.zero)
        for (int h = 0; h < 2; ++h)
          product[r][h] = _mm512_mullo_epi32(product[r][h], _mm512_loadu_si512(w.zero + g * BLOCK + 16 * h));
    }
    const uint8_t* weights = w.bytes + c * BLOCK * CHUNK;
    for (int64_t k = from; k < to; ++k) {
      const __m512i w0 = _mm512_load_si512(weights + k * 2 * CHUNK), w1 = _mm512_load_si512(weights + (k * 2 + 1) * CHUNK);
      for (int r = 0; r < R; ++r) {
        int32_t four;
        std::memcpy(&four, bytes[r] + 4 * k, 4);
        const __m512i a = _mm512_set1_epi32(four);
        product[r][0] = _mm512_dpbusd_epi32(product[r][0], w0, a);
        product[r][1] = _mm512_dpbusd_epi32(product[r][1], w1, a);
      }
    }
    for (int r = 0; r < R; ++r) {
      const __m512 by = _mm512_set1_ps(x.scale[rows[r] * x.chunks + c]);
      for (int h = 0; h < 2; ++h) {
        const __m512 scale = _mm512_mul_ps(by, _mm512_loadu_ps(w.scale + g * BLOCK + 16 * h));
        sum[r][h] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(product[r][h]), scale, sum[r][h]);
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int h = 0; h < 2; ++h) _mm512_storeu_ps(out + r * BLOCK + 16 * h, sum[r][h]);
}

template <int PARTS>
void tiles(const Panel& w, const Inputs& x, const int64_t* rows, int64_t count, float* out) {
  for (; count > 0; rows += 6, out += 6 * BLOCK, count -= 6) {
    switch (std::min<int64_t>(count, 6)) {
      case 6: tile<6, PARTS>(w, x, rows, out); break;
      case 5: tile<5, PARTS>(w, x, rows, out); break;
      case 4: tile<4, PARTS>(w, x, rows, out); break;
      case 3: tile<3, PARTS>(w, x, rows, out); break;
      case 2: tile<2, PARTS>(w, x, rows, out); break;
      default: tile<1, PARTS>(w, x, rows, out);
    }
  }
}

#ifdef __AMX_INT8__
// `tiles` for the matrix unit: the same integers, scaled and added in the same order. Products are begun two parts before
// they are read, since the way from the unit to the vectors leads through memory.
template <int PARTS, bool LESS>
void matrix_tiles(const Panel& w, const Tiled& x, int64_t tile, int64_t count, float* out) {
  constexpr int64_t depth = CHUNK / PARTS, EARLY = 2;
  const int64_t parts = PARTS * x.chunks;
  alignas(64) int32_t product[2 * EARLY][TILE * 16];
  Tiles shape;
  shape.rows[0] = TILE, shape.bytes[0] = 64;       // products
  shape.rows[1] = TILE, shape.bytes[1] = depth;    // inputs
  shape.rows[2] = depth / 4, shape.bytes[2] = 64;  // weights
  _tile_loadconfig(&shape);
  for (; count > 0; ++tile, count -= TILE, out += TILE * BLOCK)
    for (int64_t half = 0; half < 2; ++half) {
      const auto multiply = [&](int64_t part) {
        const int64_t c = part / PARTS, from = part % PARTS * depth;
        _tile_zero(0);
        _tile_loadd(1, x.bytes + x.place(tile, c) * CHUNK + from, CHUNK);
        _tile_loadd(2, w.bytes + c * BLOCK * CHUNK + (from / 2 + half) * CHUNK, 2 * CHUNK);
        if (LESS)
          _tile_dpbsud(0, 1, 2);
        else
          _tile_dpbssd(0, 1, 2);
        _tile_stored(0, product[part % (2 * EARLY)], 64);
      };
      __m512 sum[TILE];
      for (int i = 0; i < TILE; ++i) sum[i] = _mm512_setzero_ps();
      for (int64_t part = 0; part < std::min(parts, EARLY); ++part) multiply(part);
      for (int64_t part = 0; part < parts; ++part) {
        if (part + EARLY < parts) multiply(part + EARLY);
        const int64_t g = group_of(2 / PARTS * part, w.per, w.groups), place = x.place(tile, part / PARTS);
        const int32_t* found = product[part % (2 * EARLY)];
        const __m512 scale = _mm512_loadu_ps(w.scale + g * BLOCK + 16 * half);
        const __m512 zero = LESS ? _mm512_cvtepi32_ps(_mm512_loadu_si512(w.zero + g * BLOCK + 16 * half)) : scale;
#pragma GCC unroll 16
        for (int i = 0; i < TILE; ++i) {
          __m512 whole = _mm512_cvtepi32_ps(_mm512_load_si512(found + 16 * i));
          if (LESS) {
            const float* less = x.less + 2 * (place + i) + part % PARTS;
            whole = _mm512_fmadd_ps(_mm512_set1_ps(PARTS == 2 ? less[0] : less[0] + less[1]), zero, whole);
          }
          sum[i] = _mm512_fmadd_ps(whole, _mm512_mul_ps(_mm512_set1_ps(x.scale[place + i]), scale), sum[i]);
        }
      }
#pragma GCC unroll 16
      for (int i = 0; i < TILE; ++i)
        if (i < count) _mm512_storeu_ps(out + i * BLOCK + 16 * half, sum[i]);
    }
  _tile_release();
}
#endif

// out[r * BLOCK + n] = <row rows[r] of x, output first + n> for BLOCK outputs; the rows at `next` are needed after them.
// More than FEW rows also lie in `tiled`, from `tile` on, if there is a matrix unit.
template <class F, int BITS>
void block(const Matrix<F>& w, int64_t first, const Inputs& x, const int64_t* rows, int64_t count, float* out,
           const uint8_t* next, const Tiled& tiled, int64_t tile) {
  static thread_local Scratch scratch;
  if (count <= FEW) {
    for (int64_t n = 0; n < std::min(BLOCK, w.outputs - first); n += 4) {
      const uint8_t* ahead = n + AHEAD < BLOCK ? w.row(first + n + AHEAD) : next + (n + AHEAD - BLOCK) * w.row_bytes;
      if (w.groups == 1)
        few_rows<F, BITS, WHOLE>(w, first + n, x, rows, count, out + n, ahead);
      else if (w.splits())
        few_rows<F, BITS, SPLIT>(w, first + n, x, rows, count, out + n, ahead);
      else
        few_rows<F, BITS, CHUNKS>(w, first + n, x, rows, count, out + n, ahead);
    }
    return;
  }
  const Panel panel = side_by_side<F, BITS>(w, first, x.chunks, scratch);
#ifdef __AMX_INT8__
  if (matrix_unit && !panel.is_signed)
    return panel.splits ? matrix_tiles<2, true>(panel, tiled, tile, count, out)
                        : matrix_tiles<1, true>(panel, tiled, tile, count, out);
  if (matrix_unit)
    return panel.splits ? matrix_tiles<2, false>(panel, tiled, tile, count, out)
                        : matrix_tiles<1, false>(panel, tiled, tile, count, out);
#endif
  panel.splits ? tiles<2>(panel, x, rows, count, out) : tiles<1>(panel, x, rows, count, out);
}

inline int64_t rounded(int64_t bytes) { return (bytes + 63) / 64 * 64; }

template <class F, int BITS>
void linear(const typename F::type* x, const Matrix<F>& w, const typename F::type* bias, typename F::type* out,
            int64_t R, int64_t I) {
  static thread_local Scratch scratch;
  const int64_t O = w.outputs, blocks = (O + BLOCK - 1) / BLOCK, chunks = (I + CHUNK - 1) / CHUNK;
  const int64_t for_x = rounded(Inputs::size(R, I)), tiles = matrix_unit && R > FEW ? Tiled::tiles(R) : 0;
  char* memory = scratch.need(for_x + Tiled::size(tiles, chunks) + R * sizeof(int64_t));
  const Inputs inputs(memory, R, I);
  const Tiled tiled(memory + for_x, tiles, chunks);
  int64_t* rows = reinterpret_cast<int64_t*>(memory + for_x + Tiled::size(tiles, chunks));
  for (int64_t r = 0; r < R; ++r) rows[r] = r;
#pragma omp parallel if (R * O * I > (1 << 16))
  {
    std::unique_ptr<float[]> local(new float[BLOCK * std::min(R, MOST)]);
    float* product = local.get();
#pragma omp for
    for (int64_t r = 0; r < R; ++r) to_bytes<F>(x + r * I, I, w.times(), inputs, r);
#pragma omp for
    for (int64_t tile = 0; tile < tiles; ++tile) tiled.take(tile, inputs, rows + tile * TILE, R - tile * TILE);
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < blocks; ++task) {
      const int64_t first = task * BLOCK, last = std::min(O, first + BLOCK);
      for (int64_t begin = 0; begin < R; begin += MOST) {
        const int64_t count = std::min(MOST, R - begin);
        block<F, BITS>(w, first, inputs, rows + begin, count, product, w.row(first + BLOCK), tiled, begin / TILE);
        for (int64_t r = 0; r < count; ++r)
          for (int64_t o = first; o < last; o += 16) {
            const int64_t n = std::min<int64_t>(16, last - o);
            __m512 value = _mm512_loadu_ps(product + r * BLOCK + o - first);
            if (bias) value = _mm512_add_ps(value, F::get(bias + o, n));
            F::store(out + (begin + r) * O + o, value, n);
          }
      }
    }
  }
}

// Rows of one expert that a task takes.
struct Rows {
  int64_t expert, begin, count, tile;
};

inline void into_tiles(const Tiled& tiled, const Inputs& x, const Rows& part, const int64_t* rows) {
  if (!matrix_unit || part.count <= FEW) return;
  for (int64_t r = 0; r < part.count; r += TILE)
    tiled.take(part.tile + r / TILE, x, rows + part.begin + r, part.count - r);
}

template <class F, int BITS>
void experts(const typename F::type* x, const float* weight, const Matrix<F>& gate_up, const Matrix<F>& down,
             typename F::type* out, const Plan& plan, int64_t T, int64_t D, int64_t K, int64_t N, int64_t M) {
  static thread_local Scratch scratch;
  const int64_t pairs = plan.start[N], blocks = (M + BLOCK - 1) / BLOCK, stride = blocks * BLOCK;
  std::vector<Rows> parts;
  int64_t most = 0, tiles = 0;
  for (int64_t e = 0; e < N; ++e)
    for (int64_t p = plan.start[e]; p < plan.start[e + 1]; p += MOST) {
      parts.push_back({e, p, std::min(MOST, plan.start[e + 1] - p), tiles});
      most = std::max(most, parts.back().count);
      if (matrix_unit && parts.back().count > FEW) tiles += Tiled::tiles(parts.back().count);
    }
  const int64_t chunks = (D + CHUNK - 1) / CHUNK, hidden_chunks = (M + CHUNK - 1) / CHUNK;
  const int64_t for_x = rounded(Inputs::size(T, D)), for_hidden = rounded(Inputs::size(pairs, M));
  const int64_t for_tiles = Tiled::size(tiles, chunks), for_both = for_tiles + Tiled::size(tiles, hidden_chunks);
  char* memory = scratch.need(for_x + for_hidden + for_both + pairs * (stride * sizeof(float) + 2 * sizeof(int64_t)));
  const Inputs inputs(memory, T, D), acted(memory + for_x, pairs, M);
  const Tiled tiled(memory + for_x + for_hidden, tiles, chunks);
  const Tiled tiled_acted(memory + for_x + for_hidden + for_tiles, tiles, hidden_chunks);
  float* hidden = reinterpret_cast<float*>(memory + for_x + for_hidden + for_both);
  int64_t* tokens = reinterpret_cast<int64_t*>(hidden + pairs * stride);
  int64_t* own = tokens + pairs;
  for (int64_t p = 0; p < pairs; ++p) {
    tokens[p] = plan.pair[p] / K;
    own[p] = p;
  }
  const int64_t tasks = static_cast<int64_t>(parts.size()) * blocks;
  // A thread takes neighbours, so that what it fetches ahead is its own.
  const int64_t run = most > FEW ? 1 : std::max<int64_t>(1, blocks / 8);

#pragma omp parallel
  {
    std::unique_ptr<float[]> local(new float[BLOCK * (2 * most + T)]);
    float *gate = local.get(), *up = gate + most * BLOCK;
#pragma omp for
    for (int64_t t = 0; t < T; ++t) to_bytes<F>(x + t * D, D, gate_up.times(), inputs, t);
#pragma omp for schedule(dynamic, 1)
    for (size_t i = 0; i < parts.size(); ++i) into_tiles(tiled, inputs, parts[i], tokens);
#pragma omp for schedule(dynamic, run)
    for (int64_t task = 0; task < tasks; ++task) {
      const Rows& part = parts[task / blocks];
      const int64_t first = task % blocks * BLOCK;
      const Matrix<F> own_weights = gate_up.expert(part.expert);
      const uint8_t *up_rows = own_weights.row(M + first), *next = own_weights.row(first + BLOCK);
      block<F, BITS>(own_weights, first, inputs, tokens + part.begin, part.count, gate, up_rows, tiled, part.tile);
      block<F, BITS>(own_weights, M + first, inputs, tokens + part.begin, part.count, up, next, tiled, part.tile);
      for (int64_t r = 0; r < part.count; ++r) {
        const __m512 share = _mm512_set1_ps(weight[plan.pair[part.begin + r]]);
        for (int64_t n = 0; n < BLOCK; n += 16) {
          const __m512 g = _mm512_loadu_ps(gate + r * BLOCK + n), u = _mm512_loadu_ps(up + r * BLOCK + n);
          _mm512_storeu_ps(hidden + (part.begin + r) * stride + first + n, _mm512_mul_ps(_mm512_mul_ps(silu(g), u), share));
        }
      }
    }
#pragma omp for
    for (int64_t p = 0; p < pairs; ++p) to_bytes<Float>(hidden + p * stride, M, down.times(), acted, p);
#pragma omp for schedule(dynamic, 1)
    for (size_t i = 0; i < parts.size(); ++i) into_tiles(tiled_acted, acted, parts[i], own);
    // A task owns columns of the output: experts add up in a fixed order, in float32, without locks.
    float *product = gate, *total = up + most * BLOCK;
#pragma omp for schedule(dynamic, run)
    for (int64_t first = 0; first < D; first += BLOCK) {
      const int64_t last = std::min(D, first + BLOCK);
      std::fill(total, total + T * BLOCK, 0.f);
      for (size_t i = 0; i < parts.size(); ++i) {
        const Rows& part = parts[i];
        const bool more = i + 1 < parts.size();
        const uint8_t* next = down.expert(parts[more ? i + 1 : 0].expert).row(more ? first : first + BLOCK);
        block<F, BITS>(down.expert(part.expert), first, acted, own + part.begin, part.count, product, next, tiled_acted,
                       part.tile);
        for (int64_t r = 0; r < part.count; ++r) {
          float* place = total + tokens[part.begin + r] * BLOCK;
          for (int64_t c = 0; c < BLOCK; c += 16)
            _mm512_storeu_ps(place + c, _mm512_add_ps(_mm512_loadu_ps(place + c), _mm512_loadu_ps(product + r * BLOCK + c)));
        }
      }
      for (int64_t t = 0; t < T; ++t)
        for (int64_t c = first; c < last; c += 16)
          F::store(out + t * D + c, _mm512_loadu_ps(total + t * BLOCK + c - first), std::min<int64_t>(16, last - c));
    }
  }
}

template <class F, int BITS>
void experts_in_passes(const typename F::type* x, const int64_t* index, const float* weight, const Matrix<F>& gate_up,
                       const Matrix<F>& down, typename F::type* out, int64_t T, int64_t D, int64_t K, int64_t N,
                       int64_t M) {
  for (int64_t t = 0; t < T; t += TOKENS) {
    const int64_t count = std::min(TOKENS, T - t);
    const Plan plan(index + t * K, count * K, N);
    experts<F, BITS>(x + t * D, weight + t * K, gate_up, down, out + t * D, plan, count, D, K, N, M);
  }
}

// Calls a function object with the number of bits as a constant, or with ANY.
template <class Call>
void with_bits(int64_t bits, const Call& call) {
  switch (bits) {
    case 4: return call(std::integral_constant<int, 4>());
    case 8: return call(std::integral_constant<int, 8>());
    default: return call(std::integral_constant<int, ANY>());
  }
}
}  // namespace

extern "C" {
// Whether the matrix unit is used from now on: if it is wanted, and the system lets us.
int sparsebench_matrix_unit(int64_t wanted) {
#ifdef __AMX_INT8__
  matrix_unit = wanted && may_use_tiles();
  return matrix_unit;
#else
  return 0;
#endif
}

#define SPARSEBENCH(F, name)                                                                                           \
  void sparsebench_linear_##name(const F::type* x, const uint8_t* words, const F::type* scale, const uint8_t* zero,    \
                                 const F::type* bias, F::type* out, int64_t R, int64_t I, int64_t O, int64_t bits,     \
                                 int64_t row_bytes, int64_t groups, int64_t per) {                                     \
    const Matrix<F> w{words, scale, zero, O, row_bytes, groups, per, int(bits)};                                       \
    with_bits(bits, [&](auto b) { linear<F, b()>(x, w, bias, out, R, I); });                                           \
  }                                                                                                                    \
  void sparsebench_experts_##name(const F::type* x, const int64_t* index, const float* weight, F::type* out,           \
                                  const uint8_t* words, const F::type* scale, const uint8_t* zero,                     \
                                  const uint8_t* down_words, const F::type* down_scale, const uint8_t* down_zero,      \
                                  int64_t T, int64_t D, int64_t K, int64_t N, int64_t M, int64_t bits,                 \
                                  int64_t row_bytes, int64_t groups, int64_t per, int64_t down_row_bytes,              \
                                  int64_t down_groups, int64_t down_per) {                                             \
    const Matrix<F> gate_up{words, scale, zero, 2 * M, row_bytes, groups, per, int(bits)};                             \
    const Matrix<F> down{down_words, down_scale, down_zero, D, down_row_bytes, down_groups, down_per, int(bits)};      \
    with_bits(bits, [&](auto b) {                                                                                      \
      experts_in_passes<F, b()>(x, index, weight, gate_up, down, out, T, D, K, N, M);                                  \
    });                                                                                                                \
  }

SPARSEBENCH(Float, float32)
#ifdef __AVX512BF16__
SPARSEBENCH(BFloat16, bfloat16)
#endif
}
