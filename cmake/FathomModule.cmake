# fathom_module(NAME
#   SOURCES a.cpp ...            the module's own files
#   DEPENDS fathom::core ...     modules it may include; this list is the layer diagram
#   LIBRARIES fmt::fmt ...       libraries from Debian
#   TESTS a_test.cpp ...         one GoogleTest program, NAME_test
#   FUZZ a_fuzz.cpp ...          one libFuzzer program each; seeds in fuzz/seeds/a_fuzz/
#   BENCHMARKS a_bench.cpp ...)  one Google Benchmark program, NAME_bench, not built by default
#
# A module is one folder under src/, one namespace, one static library, one face. Includes are
# written from src/: #include "queue/queue.h". tests/tidy.py reads DEPENDS and refuses an include
# that is not in it.
function(fathom_module name)
  cmake_parse_arguments(M "" "" "SOURCES;DEPENDS;LIBRARIES;TESTS;TEST_LIBRARIES;FUZZ;BENCHMARKS" ${ARGN})

  if(M_SOURCES)
    add_library(fathom_${name} STATIC ${M_SOURCES})
    set(scope PUBLIC)
  else()
    add_library(fathom_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(fathom::${name} ALIAS fathom_${name})
  target_include_directories(fathom_${name} ${scope} ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(fathom_${name} ${scope} ${M_DEPENDS} ${M_LIBRARIES})

  if(M_TESTS)
    add_executable(${name}_test ${M_TESTS})
    target_link_libraries(${name}_test PRIVATE fathom::${name} ${M_TEST_LIBRARIES}
                          GTest::gtest GTest::gtest_main)
    gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST
                         PROPERTIES LABELS unit TIMEOUT 120)
  endif()

  # Every preset builds them and runs their seeds and a few seconds of mutations as a test; only the
  # fuzz preset instruments what they call.
  foreach(file IN LISTS M_FUZZ)
    get_filename_component(target ${file} NAME_WE)
    set(corpus ${CMAKE_BINARY_DIR}/corpus/${target})
    set(seeds ${CMAKE_SOURCE_DIR}/fuzz/seeds/${target})
    if(NOT IS_DIRECTORY ${seeds})
      set(seeds "")
    endif()
    file(MAKE_DIRECTORY ${corpus})
    add_executable(${target} ${file})
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
    target_link_libraries(${target} PRIVATE fathom::${name} -fsanitize=fuzzer)
    if(NOT TARGET fuzzers)
      add_custom_target(fuzzers)  # all of them: ./test --long fuzz
    endif()
    add_dependencies(fuzzers ${target})
    add_test(NAME ${target}
             COMMAND ${target} -seed=1 -runs=20000 -max_total_time=5 -timeout=10
                     -artifact_prefix=${corpus}- ${corpus} ${seeds})
    set_tests_properties(${target} PROPERTIES LABELS fuzz TIMEOUT 120)
  endforeach()

  if(M_BENCHMARKS)
    find_package(benchmark REQUIRED)
    add_executable(${name}_bench EXCLUDE_FROM_ALL ${M_BENCHMARKS})
    target_link_libraries(${name}_bench PRIVATE fathom::${name} benchmark::benchmark_main)
  endif()
endfunction()
