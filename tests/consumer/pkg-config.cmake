# Builds PROGRAM against the installed package as pkg-config says, shared or (whole) static as KIND says, and runs it.
cmake_minimum_required(VERSION 3.16)

set(ENV{PKG_CONFIG_PATH} ${PREFIX}/${LIBDIR}/pkgconfig)
if(KIND STREQUAL static)
    set(static_flag -static)
    set(static_option --static)
endif()

# Runs a command that has to succeed, and takes what it says.
function(run result)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE said OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT code EQUAL 0)
        message(FATAL_ERROR "${ARGN}: ${code}")
    endif()
    set(${result} "${said}" PARENT_SCOPE)
endfunction()

run(version ${PKG_CONFIG} --modversion nanostate)
if(NOT version STREQUAL VERSION)
    message(FATAL_ERROR "version ${version}, not ${VERSION}")
endif()
run(flags ${PKG_CONFIG} ${static_option} --cflags --libs nanostate)
separate_arguments(flags UNIX_COMMAND "${flags}")
run(said ${COMPILER} ${static_flag} ${SOURCE} -o ${PROGRAM} ${flags})

run(needed ${READELF} -d ${PROGRAM})
if(needed MATCHES "libnanostate" AND KIND STREQUAL static OR NOT needed MATCHES "libnanostate" AND KIND STREQUAL shared)
    message(FATAL_ERROR "not ${KIND}:\n${needed}")
endif()
set(ENV{LD_LIBRARY_PATH} ${PREFIX}/${LIBDIR})
run(said ${PROGRAM})
message("${said}")
