// The watchdog: everything it takes from the outside world comes in here.
#include <unistd.h>

#include <span>

#include "watchdog/watchdog.h"

int main(int argc, char** argv) {
    std::size_t count = 0;
    while (environ[count] != nullptr) ++count;
    const fathom::SystemClock clock;
    return fathom::watchdog::run(std::span(argv + 1, argv + argc), std::span(environ, count),
                                 clock);
}
