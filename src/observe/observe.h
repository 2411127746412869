// observe: what the program says about itself. It records; telemetry/ ships.
//
//   observe/log.h       events with fields, one line each
//   observe/metrics.h   counters, gauges and histograms, counted per core and summed on read
#pragma once

#include "observe/log.h"
#include "observe/metrics.h"
