// Experts E_e(x) = W_down (silu(W_gate x) * (W_up x)) for x86 processors with AVX-512 (and AVX512-BF16 for bfloat16).
//
// Weights are read where they lie, as the model stores them: every product is a dot product of two rows that are
// contiguous along the summed dimension, so nothing is packed or transposed, and one design (`experts`) serves one token
// and some tens of rows for each expert. For more rows, matrix products of the BLAS are faster; `plan`, `gather`, `gate`
// and `combine` are what lies between those. In bfloat16 a matrix unit (AMX) is, too, where there is one:
// `matrix_experts`, which packs the tokens and leaves weights where they are.
// Shapes: T tokens, D width, K chosen experts, N experts, M hidden neurons of each, S (token, expert) pairs.
#include "vectors.h"

namespace {

// Four rows of weights, and the four that are needed next: those are fetched while these are used.
template <class F>
struct Four {
  const typename F::type *now[4], *next[4];
};

// out[r * stride + j] = <rows[r], weights.now[j]> for R rows, `depth` long.
template <class F, int R, bool FETCH>
inline void dot4(const typename F::type* const* rows, const Four<F>& weights, int64_t depth, float* out,
                 int64_t stride) {
  __m512 sum[R][4];
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < 4; ++j) sum[r][j] = _mm512_setzero_ps();
  int64_t k = 0;
  for (; k + F::lanes <= depth; k += F::lanes) {
    typename F::vector w[4];
    for (int j = 0; j < 4; ++j) {
      w[j] = F::load(weights.now[j] + k);
      if (FETCH) _mm_prefetch(reinterpret_cast<const char*>(weights.next[j] + k), _MM_HINT_T1);
    }
    for (int r = 0; r < R; ++r) {
      const typename F::vector a = F::load(rows[r] + k);
      for (int j = 0; j < 4; ++j) sum[r][j] = F::fma(a, w[j], sum[r][j]);
    }
  }
  if (k < depth) {
    typename F::vector w[4];
    for (int j = 0; j < 4; ++j) w[j] = F::load(weights.now[j] + k, depth - k);
    for (int r = 0; r < R; ++r) {
      const typename F::vector a = F::load(rows[r] + k, depth - k);
      for (int j = 0; j < 4; ++j) sum[r][j] = F::fma(a, w[j], sum[r][j]);
    }
  }
  for (int r = 0; r < R; ++r) _mm_storeu_ps(out + r * stride, sums(sum[r][0], sum[r][1], sum[r][2], sum[r][3]));
}

template <class F, bool FETCH>
inline int64_t some(const typename F::type* const* rows, int64_t count, const Four<F>& weights, int64_t depth,
                    float* out, int64_t stride) {
  switch (std::min<int64_t>(count, 6)) {
    case 6: dot4<F, 6, FETCH>(rows, weights, depth, out, stride); return 6;
    case 5: dot4<F, 5, FETCH>(rows, weights, depth, out, stride); return 5;
    case 4: dot4<F, 4, FETCH>(rows, weights, depth, out, stride); return 4;
    case 3: dot4<F, 3, FETCH>(rows, weights, depth, out, stride); return 3;
    case 2: dot4<F, 2, FETCH>(rows, weights, depth, out, stride); return 2;
    default: dot4<F, 1, FETCH>(rows, weights, depth, out, stride); return 1;
  }
}

// The same for any number of rows, six at a time: 24 sums, four weights and one row fill the registers.
template <class F>
inline void dots(const typename F::type* const* rows, int64_t count, const Four<F>& weights, int64_t depth, float* out,
                 int64_t stride) {
  int64_t r = some<F, true>(rows, count, weights, depth, out, stride);
  while (r < count) r += some<F, false>(rows + r, count - r, weights, depth, out + r * stride, stride);
}

constexpr int64_t NEURONS = 16;          // hidden neurons of one task
constexpr int64_t COLUMNS = 32;          // output columns of one task
constexpr int64_t TOKENS = 4096;         // tokens of one pass over the experts
constexpr int64_t CACHED = 192 * 1024;   // bytes of rows that stay in the second-level cache while weights pass by

struct Rows {
  int64_t expert, begin, count;
};

template <class F>
void experts(const typename F::type* x, const float* weight, const typename F::type* gate_up,
             const typename F::type* down, typename F::type* out, typename F::type* inward, const Plan& plan, int64_t T,
             int64_t D, int64_t K, int64_t N, int64_t M) {
  typedef typename F::type type;
  static thread_local Scratch scratch;
  const int64_t pairs = plan.start[N], blocks = (M + NEURONS - 1) / NEURONS;
  // Rows whose distance is a power of two share few places of the cache: copies stand a line further apart.
  const int64_t line = 64 / sizeof(type), X = (D / line + 2) * line, H = (M / line + 2) * line;
  const bool copy = T > 2;
  char* memory = scratch.need(sizeof(type) * (pairs * H + (copy ? T * X : 0)) + sizeof(type*) * 2 * pairs + 64);
  type* hidden = reinterpret_cast<type*>(memory);
  type* copies = hidden + pairs * H;
  const type** rows = reinterpret_cast<const type**>(copies + (copy ? T * X : 0));
  const type** hidden_rows = rows + pairs;
  if (copy) {
#pragma omp parallel for
    for (int64_t t = 0; t < T; ++t) std::memcpy(copies + t * X, x + t * D, sizeof(type) * D);
  }
  for (int64_t p = 0; p < pairs; ++p) {
    rows[p] = copy ? copies + plan.pair[p] / K * X : x + plan.pair[p] / K * D;
    hidden_rows[p] = hidden + p * H;
  }
  const int64_t most = std::max<int64_t>(2, CACHED / (6 * D * static_cast<int64_t>(sizeof(type)))) * 6;
  std::vector<Rows> parts;
  for (int64_t e = 0; e < N; ++e)
    for (int64_t p = plan.start[e]; p < plan.start[e + 1]; p += most)
      parts.push_back({e, p, std::min(most, plan.start[e + 1] - p)});
  const int64_t tasks = static_cast<int64_t>(parts.size()) * blocks;

#pragma omp parallel
  {
    std::unique_ptr<float[]> local(new float[std::max(2 * NEURONS, COLUMNS) * most + COLUMNS * T]);
    float *gate = local.get(), *up = gate + most * NEURONS;
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < tasks; ++task) {
      const Rows& part = parts[task / blocks];
      const int64_t first = task % blocks * NEURONS, last = std::min(M, first + NEURONS);
      const type* g = gate_up + part.expert * 2 * M * D;
      for (int64_t n = first; n < last; n += 4) {
        Four<F> w_gate, w_up;
        for (int64_t j = 0; j < 4; ++j) {
          w_gate.now[j] = g + std::min(n + j, M - 1) * D;  // beyond the last neuron: any row, the sums are not used
          w_gate.next[j] = w_up.now[j] = w_gate.now[j] + M * D;
          w_up.next[j] = w_gate.now[j] + 4 * D;
        }
        dots<F>(rows + part.begin, part.count, w_gate, D, gate + n - first, NEURONS);
        dots<F>(rows + part.begin, part.count, w_up, D, up + n - first, NEURONS);
      }
      for (int64_t r = 0; r < part.count; ++r) {
        const __m512 scale = _mm512_set1_ps(weight[plan.pair[part.begin + r]]);
        const __m512 h = _mm512_mul_ps(silu(_mm512_loadu_ps(gate + r * NEURONS)), _mm512_loadu_ps(up + r * NEURONS));
        F::store(hidden + (part.begin + r) * H + first, _mm512_mul_ps(h, scale), last - first);
        if (inward) {
          type* place = inward + (part.begin + r) * 2 * M + first;
          F::store(place, _mm512_loadu_ps(gate + r * NEURONS), last - first);
          F::store(place + M, _mm512_loadu_ps(up + r * NEURONS), last - first);
        }
      }
    }
    // A task owns columns of the output: experts add up in a fixed order, in float32, without locks.
    float *product = local.get(), *total = product + COLUMNS * most;
#pragma omp for schedule(dynamic, 1)
    for (int64_t first = 0; first < D; first += COLUMNS) {
      const int64_t last = std::min(D, first + COLUMNS);
      std::fill(total, total + T * COLUMNS, 0.f);
      for (const Rows& part : parts) {
        for (int64_t n = first; n < last; n += 4) {
          Four<F> w;
          for (int64_t j = 0; j < 4; ++j) {
            w.now[j] = down + (part.expert * D + std::min(n + j, D - 1)) * M;
            w.next[j] = w.now[j] + (n + 4 < last ? 4 : D + 4 - COLUMNS) * M;
          }
          dots<F>(hidden_rows + part.begin, part.count, w, M, product + n - first, COLUMNS);
        }
        for (int64_t r = 0; r < part.count; ++r) {
          float* place = total + plan.pair[part.begin + r] / K * COLUMNS;
          for (int64_t c = 0; c < COLUMNS; c += 16)
            _mm512_storeu_ps(place + c, _mm512_add_ps(_mm512_loadu_ps(place + c), _mm512_loadu_ps(product + r * COLUMNS + c)));
        }
      }
      for (int64_t t = 0; t < T; ++t)
        for (int64_t c = first; c < last; c += 16)
          F::store(out + t * D + c, _mm512_loadu_ps(total + t * COLUMNS + c - first), std::min<int64_t>(16, last - c));
    }
  }
}

#if defined(__AMX_BF16__) && defined(__AVX512BF16__)
// The same for the matrix unit. It multiplies TILE rows of weights, read where they lie, with the inputs of TILE pairs,
// which are put side by side before: two columns of each pair, then the next two. Products so come out as
// (outputs, pairs), which the hidden layer keeps as inputs of the down projection.
constexpr int64_t DEPTH = 32;             // columns that the unit takes at once
constexpr int64_t SIDE = 2 * TILE;        // numbers of two columns of all pairs of a tile
constexpr int64_t NEAR = 1024 * 1024;     // bytes of inputs that stay in the second-level cache while weights pass by
constexpr int64_t WIDE = 128;             // output columns of a task
constexpr int64_t FEW_TOKENS = 256;       // up to which a task has COLUMNS, so that there are enough of them

struct Part {
  int64_t expert, begin, count, tile;
  int64_t tiles() const { return (count + TILE - 1) / TILE; }
};

inline void shape_tiles() {
  Tiles shape;
  for (int i = 0; i < 8; ++i) shape.rows[i] = TILE, shape.bytes[i] = 64;
  _tile_loadconfig(&shape);
}

// Up to TILE rows, `depth` long, side by side; zeros for those that are missing.
inline void side_by_side(const bf16* const* rows, int64_t count, int64_t depth, bf16* to) {
  for (int64_t k = 0; k < depth; k += DEPTH) {
    const int64_t n = std::min(DEPTH, depth - k);
    __m512i v[TILE];
    for (int64_t r = 0; r < TILE; ++r)
      v[r] = r < count ? (__m512i)BFloat16::load(rows[r] + k, n) : _mm512_setzero_si512();
    transpose(v);
    for (int64_t i = 0; i < n / 2; ++i) _mm512_storeu_si512(to + (k / 2 + i) * SIDE, v[i]);
  }
}

// Rows of weights that are multiplied, `stride` numbers apart, and those that are needed next.
struct TwoBlocks {
  const bf16 *first, *second, *next_first, *next_second;
  int64_t stride;
};

// (TILE outputs, TILE pairs) of both blocks of weights and one or two tiles of pairs, each `depth / 2 * SIDE` numbers.
// FETCH: the weights that are needed next are fetched meanwhile.
template <int TILES, bool FETCH>
inline void product(const TwoBlocks& w, const bf16* pairs, int64_t depth, float (*out)[TILE * TILE]) {
  const bf16* more = pairs + depth / 2 * SIDE;
  const int64_t bytes = w.stride * 2, whole = depth / DEPTH * DEPTH;
  _tile_zero(0);
  _tile_zero(1);
  if (TILES == 2) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t k = 0; k < whole; k += DEPTH) {
    _tile_loadd(4, w.first + k, bytes);
    _tile_loadd(6, pairs + k / 2 * SIDE, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, w.second + k, bytes);
    _tile_dpbf16ps(1, 5, 6);
    if (TILES == 2) {
      _tile_loadd(7, more + k / 2 * SIDE, 64);
      _tile_dpbf16ps(2, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
    for (int64_t r = 0; FETCH && r < TILE; ++r) {
      _mm_prefetch(reinterpret_cast<const char*>(w.next_first + r * w.stride + k), _MM_HINT_T1);
      _mm_prefetch(reinterpret_cast<const char*>(w.next_second + r * w.stride + k), _MM_HINT_T1);
    }
  }
  _tile_stored(0, out[0], 64);
  _tile_stored(1, out[1], 64);
  if (TILES == 2) {
    _tile_stored(2, out[2], 64);
    _tile_stored(3, out[3], 64);
  }
  for (int64_t k = whole; k < depth; k += 2)
    for (int block = 0; block < 2; ++block) {
      const bf16* weights = (block ? w.second : w.first) + k;
      for (int64_t r = 0; r < TILE; ++r) {
        int32_t two;
        std::memcpy(&two, weights + r * w.stride, sizeof(two));
        for (int tile = 0; tile < TILES; ++tile) {
          float* place = out[2 * tile + block] + r * TILE;
          const __m512bh inputs = (__m512bh)_mm512_loadu_si512((tile ? more : pairs) + k / 2 * SIDE);
          _mm512_storeu_ps(place, _mm512_dpbf16_ps(_mm512_loadu_ps(place), (__m512bh)_mm512_set1_epi32(two), inputs));
        }
      }
    }
}

// Those of two tiles of a part from `tile` on, of one if there is no other. The first ones fetch.
inline int64_t products(const TwoBlocks& w, const Part& part, int64_t tile, const bf16* pairs, int64_t depth,
                        float (*out)[TILE * TILE]) {
  pairs += (part.tile + tile) * (depth / 2 * SIDE);
  if (tile + 1 == part.tiles()) {
    tile ? product<1, false>(w, pairs, depth, out) : product<1, true>(w, pairs, depth, out);
    return 1;
  }
  tile ? product<2, false>(w, pairs, depth, out) : product<2, true>(w, pairs, depth, out);
  return 2;
}

// The numbers of one pair each, from those of one output each.
inline void by_pair(const float* product, __m512* to) {
  __m512i v[TILE];
  for (int64_t i = 0; i < TILE; ++i) v[i] = _mm512_castps_si512(_mm512_loadu_ps(product + i * TILE));
  transpose(v);
  for (int64_t i = 0; i < TILE; ++i) to[i] = _mm512_castsi512_ps(v[i]);
}

inline __m512i widened(__m512 v) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(v)); }

// total[token, COLUMNS] += the outputs of the pairs of a part; tokens are `stride` numbers apart.
inline void add_outputs(const TwoBlocks& w, const Part& part, const bf16* hidden, int64_t M, const Plan& plan, int64_t K,
                        float* total, int64_t stride, float (*found)[TILE * TILE]) {
  for (int64_t tile = 0; tile < part.tiles(); tile += 2) {
    const int64_t tiles = products(w, part, tile, hidden, M, found);
    for (int64_t t = 0; t < tiles; ++t)
      for (int half = 0; half < 2; ++half) {
        __m512 columns[TILE];
        by_pair(found[2 * t + half], columns);
        const int64_t begin = part.begin + (tile + t) * TILE, count = std::min(TILE, part.begin + part.count - begin);
        for (int64_t r = 0; r < count; ++r) {
          float* place = total + plan.pair[begin + r] / K * stride + half * TILE;
          _mm512_storeu_ps(place, _mm512_add_ps(_mm512_loadu_ps(place), columns[r]));
        }
      }
  }
}

// Both widths even, M at least TILE, D at least COLUMNS.
void matrix_experts(const bf16* x, const float* weight, const bf16* gate_up, const bf16* down, bf16* out, bf16* inward,
                    const Plan& plan, int64_t T, int64_t D, int64_t K, int64_t N, int64_t M) {
  static thread_local Scratch scratch;
  const int64_t most = std::max<int64_t>(2, NEAR / (D * SIDE * 2)) * SIDE;
  std::vector<Part> parts;
  int64_t tiles = 0;
  for (int64_t e = 0; e < N; ++e)
    for (int64_t p = plan.start[e]; p < plan.start[e + 1]; p += most) {
      parts.push_back({e, p, std::min(most, plan.start[e + 1] - p), tiles});
      tiles += parts.back().tiles();
    }
  const int64_t of_x = D / 2 * SIDE, of_hidden = M / 2 * SIDE;  // numbers of a tile
  char* memory = scratch.need(tiles * ((of_x + of_hidden) * sizeof(bf16) + TILE * sizeof(float)) + 64);
  bf16* inputs = reinterpret_cast<bf16*>(memory);
  bf16* hidden = inputs + tiles * of_x;
  float* share = reinterpret_cast<float*>(hidden + tiles * of_hidden);
  const int64_t blocks = (M + TILE - 1) / TILE, tasks = static_cast<int64_t>(parts.size()) * blocks;
  const int64_t wide = T > FEW_TOKENS ? WIDE : COLUMNS;

#pragma omp parallel
  {
    std::unique_ptr<float[]> local(new float[wide * T]);
    float* total = local.get();
    float(*found)[TILE * TILE] = static_cast<float(*)[TILE * TILE]>(std::aligned_alloc(64, 4 * TILE * TILE * sizeof(float)));
    shape_tiles();
#pragma omp for schedule(dynamic, 1)
    for (size_t i = 0; i < parts.size(); ++i)
      for (int64_t r = 0; r < parts[i].count; r += TILE) {
        const int64_t tile = parts[i].tile + r / TILE, count = std::min(TILE, parts[i].count - r);
        const bf16* rows[TILE];
        for (int64_t j = 0; j < TILE; ++j) {
          const int64_t pair = plan.pair[parts[i].begin + r + std::min(j, count - 1)];
          rows[j] = x + pair / K * D;
          share[tile * TILE + j] = j < count ? weight[pair] : 0.f;
        }
        side_by_side(rows, count, D, inputs + tile * of_x);
      }
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < tasks; ++task) {
      const Part& part = parts[task / blocks];
      const int64_t block = task % blocks * TILE, first = std::min(block, M - TILE), from = block - first;
      const bf16* g = gate_up + part.expert * 2 * M * D + first * D;
      const bf16* next = gate_up + part.expert * 2 * M * D + std::min(first + TILE, M - TILE) * D;
      const TwoBlocks w{g, g + M * D, next, next + M * D, D};
      for (int64_t tile = 0; tile < part.tiles(); tile += 2) {
        const int64_t tiles_here = products(w, part, tile, inputs, D, found);
        for (int64_t t = 0; t < tiles_here; ++t) {
          const float *gate = found[2 * t], *up = found[2 * t + 1];
          const __m512 by = _mm512_loadu_ps(share + (part.tile + tile + t) * TILE);
          bf16* to = hidden + (part.tile + tile + t) * of_hidden + first / 2 * SIDE;
          for (int64_t n = from; n < TILE; n += 2) {
            const auto acted = [&](int64_t m) {
              const __m512 h = _mm512_mul_ps(silu(_mm512_loadu_ps(gate + m * TILE)), _mm512_loadu_ps(up + m * TILE));
              return widened(_mm512_mul_ps(h, by));
            };
            _mm512_storeu_si512(to + n / 2 * SIDE, _mm512_or_si512(acted(n), _mm512_slli_epi32(acted(n + 1), 16)));
          }
          if (!inward) continue;
          const int64_t begin = part.begin + (tile + t) * TILE, count = std::min(TILE, part.begin + part.count - begin);
          const __mmask16 mine = static_cast<__mmask16>(0xffff << from);
          for (int half = 0; half < 2; ++half) {
            __m512 rows[TILE];
            by_pair(half ? up : gate, rows);
            for (int64_t r = 0; r < count; ++r)
              _mm256_mask_storeu_epi16(inward + ((begin + r) * 2 + half) * M + first, mine,
                                       (__m256i)_mm512_cvtneps_pbh(rows[r]));
          }
        }
      }
    }
    // A task owns columns of the output: experts add up in a fixed order, in float32, without locks. The hidden layer of a
    // part passes by once for all of them.
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < D; task += wide) {
      const int64_t end = std::min(D, task + wide);
      std::fill(total, total + T * wide, 0.f);
      for (size_t i = 0; i < parts.size(); ++i)
        for (int64_t block = task; block < end; block += COLUMNS) {
          const int64_t first = std::min(block, D - COLUMNS);
          const bf16* rows = down + (parts[i].expert * D + first) * M;
          const bool last = block + COLUMNS >= end, more = i + 1 < parts.size();
          const int64_t then = last ? task : std::min(block + COLUMNS, D - COLUMNS);
          const bf16* next = down + (parts[last && more ? i + 1 : i].expert * D + std::min(then, D - COLUMNS)) * M;
          const TwoBlocks w{rows, rows + TILE * M, next, next + TILE * M, M};
          add_outputs(w, parts[i], hidden, M, plan, K, total + (block - task), wide, found);
        }
      for (int64_t t = 0; t < T; ++t)
        for (int64_t block = task; block < end; block += COLUMNS)
          for (int64_t c = 0; c < COLUMNS; c += TILE) {
            const int64_t first = std::min(block, D - COLUMNS) + c;
            const int64_t others = std::max<int64_t>(0, block - first);  // columns of the block before
            if (others >= TILE) continue;
            const __m512 sums = _mm512_loadu_ps(total + t * wide + block - task + c);
            _mm256_mask_storeu_epi16(out + t * D + first, static_cast<__mmask16>(0xffff << others),
                                     (__m256i)_mm512_cvtneps_pbh(sums));
          }
    }
    _tile_release();
    std::free(found);
  }
}
#endif

// `experts` in passes: their scratch memory stays small however many tokens there are.
template <class F>
void experts_in_passes(const typename F::type* x, const int64_t* index, const float* weight,
                       const typename F::type* gate_up, const typename F::type* down, typename F::type* out, int64_t T,
                       int64_t D, int64_t K, int64_t N, int64_t M) {
  for (int64_t t = 0; t < T; t += TOKENS) {
    const int64_t count = std::min(TOKENS, T - t);
    const Plan plan(index + t * K, count * K, N);
    experts<F>(x + t * D, weight + t * K, gate_up, down, out + t * D, nullptr, plan, count, D, K, N, M);
  }
}

// For training: what goes into the activation, (S, 2M), is kept, and the plan is written as by sparsebench_plan.
void write(const Plan& plan, int64_t S, int64_t N, int64_t* counts, int64_t* order, int64_t* place) {
  for (int64_t e = 0; e < N; ++e) counts[e] = plan.start[e + 1] - plan.start[e];
  std::fill(place, place + S, -1);
  for (int64_t p = 0; p < plan.start[N]; ++p) place[order[p] = plan.pair[p]] = p;
}

// Router logits <x, router>, the K best of each token, best first, and their weights times `factor`.
enum Rule { SOFTMAX_OF_CHOSEN, SOFTMAX_OF_ALL, EQUAL, SIGMOID, SIGMOID_SHARE };

// Whether logit a comes before b, which stands further left: not a number comes first, as in PyTorch's topk.
inline bool better(float a, float b) { return a > b || (std::isnan(a) && !std::isnan(b)); }

inline void choose(const float* logit, int64_t N, int64_t K, int rule, float factor, char* used, int64_t* index,
                   float* weight) {
  std::fill(used, used + N, 0);
  for (int64_t k = 0; k < K; ++k) {
    int64_t best = 0;
    while (used[best]) ++best;
    for (int64_t e = best + 1; e < N; ++e)
      if (!used[e] && better(logit[e], logit[best])) best = e;
    used[best] = 1;
    index[k] = best;
  }
  float sum = 0;
  for (int64_t k = 0; k < K; ++k) {
    const float l = logit[index[k]];
    weight[k] = rule == EQUAL ? 1.f : rule >= SIGMOID ? 1.f / (1.f + std::exp(-l)) : std::exp(l - logit[index[0]]);
    sum += weight[k];
  }
  if (rule == SOFTMAX_OF_ALL) {
    sum = 0;
    for (int64_t e = 0; e < N; ++e) sum += std::exp(logit[e] - logit[index[0]]);
  }
  for (int64_t k = 0; k < K; ++k) weight[k] *= rule == SIGMOID ? factor : factor / sum;
}

template <class F>
void route(const typename F::type* x, const typename F::type* router, int64_t* index, float* weight, int64_t T,
           int64_t D, int64_t K, int64_t N, int rule, float factor) {
  constexpr int64_t group = 6;
  const int64_t stride = (N + 3) / 4 * 4;
#pragma omp parallel if (T > 2 * group)
  {
    std::vector<float> logits(group * stride);
    std::vector<char> used(N);
#pragma omp for
    for (int64_t first = 0; first < T; first += group) {
      const int64_t count = std::min(group, T - first);
      const typename F::type* rows[group];
      for (int64_t r = 0; r < count; ++r) rows[r] = x + (first + r) * D;
      for (int64_t n = 0; n < N; n += 4) {
        Four<F> w;
        for (int64_t j = 0; j < 4; ++j) w.now[j] = w.next[j] = router + std::min(n + j, N - 1) * D;
        dots<F>(rows, count, w, D, logits.data() + n, stride);
      }
      for (int64_t r = 0; r < count; ++r)
        choose(logits.data() + r * stride, N, K, rule, factor, used.data(), index + (first + r) * K,
               weight + (first + r) * K);
    }
  }
}

// hidden[s] = weight * silu(gate) * up, from rows of 2M numbers, gate first.
template <class F>
void gate(const typename F::type* inward, const int64_t* order, const float* weight, typename F::type* hidden,
          int64_t S, int64_t M) {
#pragma omp parallel for
  for (int64_t s = 0; s < S; ++s) {
    const __m512 scale = _mm512_set1_ps(weight[order[s]]);
    const typename F::type* g = inward + s * 2 * M;
    for (int64_t m = 0; m < M; m += 16) {
      const int64_t n = std::min<int64_t>(16, M - m);
      F::store(hidden + s * M + m, _mm512_mul_ps(_mm512_mul_ps(silu(F::get(g + m, n)), F::get(g + M + m, n)), scale), n);
    }
  }
}

// The way back through `gate`: from the gradient of `hidden` to that of `inward` and of each pair's weight; `hidden`
// itself is computed again, for the gradient of the down projection.
template <class F>
void gate_backward(const typename F::type* inward, const int64_t* order, const float* weight,
                   const typename F::type* grad, typename F::type* grad_inward, float* grad_weight,
                   typename F::type* hidden, int64_t S, int64_t M) {
  const __m512 one = _mm512_set1_ps(1.f);
#pragma omp parallel for
  for (int64_t s = 0; s < S; ++s) {
    const __m512 scale = _mm512_set1_ps(weight[order[s]]);
    __m512 sum = _mm512_setzero_ps();
    const typename F::type* in = inward + s * 2 * M;
    typename F::type* out = grad_inward + s * 2 * M;
    for (int64_t m = 0; m < M; m += 16) {
      const int64_t n = std::min<int64_t>(16, M - m);
      const __m512 g = F::get(in + m, n), u = F::get(in + M + m, n), d = F::get(grad + s * M + m, n);
      const __m512 p = sigmoid(g), a = _mm512_mul_ps(g, p), h = _mm512_mul_ps(a, u), scaled = _mm512_mul_ps(d, scale);
      sum = _mm512_fmadd_ps(d, h, sum);
      // silu'(g) = p + g p (1 - p)
      const __m512 slope = _mm512_fmadd_ps(a, _mm512_sub_ps(one, p), p);
      F::store(out + m, _mm512_mul_ps(_mm512_mul_ps(scaled, u), slope), n);
      F::store(out + M + m, _mm512_mul_ps(scaled, a), n);
      F::store(hidden + s * M + m, _mm512_mul_ps(h, scale), n);
    }
    grad_weight[order[s]] = _mm512_reduce_add_ps(sum);
  }
}

// out[t] = sum of the K rows that belong to token t.
template <class F>
void combine(const typename F::type* rows, const int64_t* place, typename F::type* out, int64_t T, int64_t D,
             int64_t K) {
#pragma omp parallel for
  for (int64_t t = 0; t < T; ++t)
    for (int64_t d = 0; d < D; d += 16) {
      const int64_t n = std::min<int64_t>(16, D - d);
      __m512 sum = _mm512_setzero_ps();
      for (int64_t k = 0; k < K; ++k)
        if (place[t * K + k] >= 0) sum = _mm512_add_ps(sum, F::get(rows + place[t * K + k] * D + d, n));
      F::store(out + t * D + d, sum, n);
    }
}
}  // namespace

extern "C" {
// Sorts the pairs by expert: `counts` (N), `order` (S) the pairs in turn, `place` (S) where each pair went, or -1.
void sparsebench_plan(const int64_t* index, int64_t S, int64_t N, int64_t* counts, int64_t* order, int64_t* place) {
  write(Plan(index, S, N), S, N, counts, order, place);
}

// Rows of `bytes` bytes: to[s] = from[order[s] / K].
void sparsebench_gather(const char* from, const int64_t* order, char* to, int64_t S, int64_t K, int64_t bytes) {
#pragma omp parallel for
  for (int64_t s = 0; s < S; ++s) std::memcpy(to + s * bytes, from + order[s] / K * bytes, bytes);
}

#define SPARSEBENCH(F, name)                                                                                          \
  void sparsebench_experts_##name(const F::type* x, const int64_t* index, const float* weight, const F::type* gate_up, \
                                  const F::type* down, F::type* out, int64_t T, int64_t D, int64_t K, int64_t N,       \
                                  int64_t M) {                                                                        \
    experts_in_passes<F>(x, index, weight, gate_up, down, out, T, D, K, N, M);                                        \
  }                                                                                                                   \
  void sparsebench_kept_experts_##name(const F::type* x, const int64_t* index, const float* weight,                     \
                                       const F::type* gate_up, const F::type* down, F::type* out, F::type* inward,     \
                                       int64_t* counts, int64_t* order, int64_t* place, int64_t T, int64_t D,          \
                                       int64_t K, int64_t N, int64_t M) {                                             \
    const Plan plan(index, T * K, N);                                                                                 \
    write(plan, T * K, N, counts, order, place);                                                                      \
    experts<F>(x, weight, gate_up, down, out, inward, plan, T, D, K, N, M);                                           \
  }                                                                                                                   \
  void sparsebench_route_##name(const F::type* x, const F::type* router, int64_t* index, float* weight, int64_t T,     \
                                int64_t D, int64_t K, int64_t N, int64_t rule, float factor) {                        \
    route<F>(x, router, index, weight, T, D, K, N, static_cast<int>(rule), factor);                                   \
  }                                                                                                                   \
  void sparsebench_gate_##name(const F::type* inward, const int64_t* order, const float* weight, F::type* hidden,      \
                               int64_t S, int64_t M) {                                                                \
    gate<F>(inward, order, weight, hidden, S, M);                                                                     \
  }                                                                                                                   \
  void sparsebench_gate_backward_##name(const F::type* inward, const int64_t* order, const float* weight,               \
                                        const F::type* grad, F::type* grad_inward, float* grad_weight, F::type* hidden, \
                                        int64_t S, int64_t M) {                                                       \
    gate_backward<F>(inward, order, weight, grad, grad_inward, grad_weight, hidden, S, M);                            \
  }                                                                                                                   \
  void sparsebench_combine_##name(const F::type* rows, const int64_t* place, F::type* out, int64_t T, int64_t D,       \
                                  int64_t K) {                                                                        \
    combine<F>(rows, place, out, T, D, K);                                                                            \
  }

SPARSEBENCH(Float, float32)
#ifdef __AVX512BF16__
SPARSEBENCH(BFloat16, bfloat16)
#endif

// Whether there is a matrix unit for bfloat16, and the system lets us use it.
int sparsebench_matrix_unit() {
#if defined(__AMX_BF16__) && defined(__AVX512BF16__)
  return may_use_tiles();
#else
  return 0;
#endif
}

#if defined(__AMX_BF16__) && defined(__AVX512BF16__)
void sparsebench_matrix_experts(const bf16* x, const int64_t* index, const float* weight, const bf16* gate_up,
                                const bf16* down, bf16* out, int64_t T, int64_t D, int64_t K, int64_t N, int64_t M) {
  for (int64_t t = 0; t < T; t += TOKENS) {
    const int64_t count = std::min(TOKENS, T - t);
    const Plan plan(index + t * K, count * K, N);
    matrix_experts(x + t * D, weight + t * K, gate_up, down, out + t * D, nullptr, plan, count, D, K, N, M);
  }
}

void sparsebench_kept_matrix_experts(const bf16* x, const int64_t* index, const float* weight, const bf16* gate_up,
                                     const bf16* down, bf16* out, bf16* inward, int64_t* counts, int64_t* order,
                                     int64_t* place, int64_t T, int64_t D, int64_t K, int64_t N, int64_t M) {
  const Plan plan(index, T * K, N);
  write(plan, T * K, N, counts, order, place);
  matrix_experts(x, weight, gate_up, down, out, inward, plan, T, D, K, N, M);
}
#endif
}
