// The heat equation in two dimensions as a plugin in C++: three tasks that work on the block of rows that a rank holds.
//
// It knows neither MPI nor ranks: who calls it fills the halo rows. It is the twin of plugins/heat-rust, which says what a
// block is: the same tasks, the same errors, and the same bits in the results, as long as the compiler fuses no
// multiplication with an addition (-ffp-contract=off).
#include <dlcast_plugin.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <sstream>
#include <stdexcept>

DLCAST_PLUGIN("heat_cpp", "0.1.0");

namespace {

template <class... Parts> [[noreturn]] void refuse(const Parts &...parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw std::invalid_argument(text.str());
}

// What is asked of the arguments: a size that memory can hold, a part of the domain, two blocks, a block at all.

void sized(std::uint64_t rows, std::uint64_t columns) {
  if (rows == 0 || columns == 0) refuse("a block of ", rows, " rows of ", columns, " cells is empty");
  constexpr std::uint64_t most = std::numeric_limits<std::ptrdiff_t>::max() / sizeof(double);
  if (rows > most - 2 || columns > most / (rows + 2)) {
    refuse("a block of ", rows, " rows of ", columns, " cells fits into no memory");
  }
}

void inside(std::uint64_t rows, std::uint64_t first, std::uint64_t height) {
  if (first > height || rows > height - first) {
    refuse(rows, " rows from row ", first, " on are not in a domain of ", height, " rows");
  }
}

void apart(const double *one, const double *other, std::uint64_t cells) {
  const auto a = reinterpret_cast<std::uintptr_t>(one), b = reinterpret_cast<std::uintptr_t>(other);
  if (one && (a > b ? a - b : b - a) < cells * sizeof(double)) {
    refuse("the block to read and the block to write overlap");
  }
}

void present(const double *cells) {
  if (!cells) refuse("the block is a null pointer");
}

// What is hot in the beginning: a ring with a warm heart, a leaning bar, and a chessboard whose fields soon blur. Lengths
// are in units of the domain's height.
double temperature(double x, double y) {
  const double dx = x - 0.42, dy = y - 0.5;
  const double radius = dx * dx + dy * dy;
  if (radius >= 0.06 && radius < 0.11) return 1.0;
  if (radius < 0.01) return 0.6;
  const double lean = (x - 0.9) + 0.25 * (y - 0.5);
  if (lean > -0.035 && lean < 0.035 && y > 0.1 && y < 0.9) return 0.9;
  const double across = (x - 1.08) / 0.08, down = (y - 0.18) / 0.08;
  const bool board = across >= 0.0 && across < 5.0 && down >= 0.0 && down < 8.0;
  const auto field = [](double at) { return static_cast<std::uint64_t>(at); };
  return board && (field(across) + field(down)) % 2 == 0 ? 1.0 : 0.0;
}

void init(double *cells, std::uint64_t rows, std::uint64_t columns, std::uint64_t first, std::uint64_t height) {
  sized(rows, columns);
  inside(rows, first, height);
  present(cells);
  const auto whole = static_cast<double>(height);
  for (std::uint64_t row = 0; row < rows; ++row) {
    const double y = (static_cast<double>(first + row) + 0.5) / whole;
    double *target = cells + (row + 1) * columns;
    for (std::uint64_t column = 0; column < columns; ++column) {
      target[column] = temperature((static_cast<double>(column) + 0.5) / whole, y);
    }
  }
}
dlcast::task<&init> init_task{"init"};

double step(const double *from, double *to, std::uint64_t rows, std::uint64_t columns, double rate) {
  sized(rows, columns);
  apart(from, to, (rows + 2) * columns);
  present(from);
  present(to);
  if (!(rate > 0.0 && rate <= 0.25)) refuse("the rate is ", rate, ", and steps are stable only above 0 and up to 0.25");
  double largest = 0.0;
  for (std::uint64_t row = 1; row <= rows; ++row) {
    const double *here = from + row * columns, *above = here - columns, *below = here + columns;
    double *target = to + row * columns;
    for (std::uint64_t column = 0; column < columns; ++column) {
      const double cell = here[column];
      // Beyond the border it is as warm as on it: nothing flows.
      const double left = here[column == 0 ? 0 : column - 1];
      const double right = here[column + 1 == columns ? column : column + 1];
      const double next = cell + rate * (((above[column] + below[column]) + (left + right)) - 4.0 * cell);
      target[column] = next;
      const double change = std::fabs(next - cell);
      if (change > largest) largest = change;
    }
  }
  return largest;
}
dlcast::task<&step> step_task{"step"};

double total(const double *cells, std::uint64_t rows, std::uint64_t columns) {
  sized(rows, columns);
  present(cells);
  double sum = 0.0;
  for (std::uint64_t at = 0; at < rows * columns; ++at) sum += cells[columns + at];
  return sum;
}
dlcast::task<&total> total_task{"total"};

}  // namespace
