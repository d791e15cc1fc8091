# What cargo builds, as a target.

get_filename_component(_nanostate_source_dir "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)

# Sets CARGO to a cargo that is new enough: the one that was named, else the first in PATH or where rustup puts it.
function(nanostate_find_cargo)
    file(STRINGS ${_nanostate_source_dir}/Cargo.toml needed REGEX "^rust-version = " LIMIT_COUNT 1)
    string(REGEX REPLACE "^rust-version = \"(.*)\"$" "\\1" needed "${needed}")
    if(CARGO)
        find_program(named "${CARGO}")
        set(candidates "${named}")
        if(NOT named)
            set(candidates "${CARGO}") # for the message
        endif()
        unset(named CACHE)
    else()
        find_program(in_path cargo)
        find_program(in_home cargo PATHS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin" NO_DEFAULT_PATH)
        set(candidates ${in_path} ${in_home})
        list(REMOVE_DUPLICATES candidates)
        list(FILTER candidates EXCLUDE REGEX "-NOTFOUND$")
        unset(in_path CACHE)
        unset(in_home CACHE)
    endif()

    set(found "")
    foreach(candidate IN LISTS candidates)
        execute_process(COMMAND "${candidate}" --version WORKING_DIRECTORY ${_nanostate_source_dir}
            RESULT_VARIABLE result OUTPUT_VARIABLE said ERROR_VARIABLE complaint ERROR_STRIP_TRAILING_WHITESPACE)
        if(NOT said MATCHES "^cargo ([0-9]+\\.[0-9.]+)")
            string(APPEND found "\n  ${candidate}, which does not tell its version (${result}) ${complaint}")
        elseif(CMAKE_MATCH_1 VERSION_LESS needed)
            string(APPEND found "\n  ${candidate}, which is ${CMAKE_MATCH_1}")
        else()
            set(CARGO "${candidate}" CACHE FILEPATH "cargo, Rust ${needed} or newer" FORCE)
            return()
        endif()
    endforeach()
    if(NOT found)
        set(found "\n  no cargo in PATH or in ~/.cargo/bin")
    endif()
    # The next run looks again, for what the user installs now.
    unset(CARGO CACHE)
    message(FATAL_ERROR "nanostate needs cargo of Rust ${needed} or newer. Found:${found}\n"
        "Get Rust from https://rustup.rs (or: rustup update), or name another cargo by -DCARGO=PATH.")
endfunction()

# The target nanostate_cargo: the libraries, the command, and its manual pages and completions, in PROJECT_BINARY_DIR.
function(nanostate_add_cargo_build)
    if(CMAKE_CROSSCOMPILING)
        message(FATAL_ERROR "nanostate's CMakeLists.txt builds for this machine only: use cargo build --target")
    endif()
    # It runs with every build, since cargo knows best what is out of date. Files that come out the same keep their
    # time, so that nothing else is built again.
    #
    # The environment must not change what is built: ring, and NNG for nanostate-cat, whose crate builds it in a place
    # that DESTDIR would move, and with the last two not at all or not to be inside.
    set(packages -p nanostate --lib --bin nanostate)
    set(cat "")
    if(NANOSTATE_CAT)
        # In the same run, so that the library is compiled once.
        list(APPEND packages -p nanostate-cat --bin nanostate-cat)
        set(cat ${PROJECT_BINARY_DIR}/nanostate-cat)
    endif()
    if(NANOSTATE_STORE)
        list(APPEND packages --features nanostate/capi-store)
    endif()
    add_custom_target(nanostate_cargo ALL
        COMMAND ${CMAKE_COMMAND} -E env --unset=CARGO_BUILD_TARGET CC=${CMAKE_C_COMPILER} --unset=DESTDIR
            --unset=NNG_NO_VENDOR --unset=NNG_STATIC
            ${CARGO} build --release ${packages} --target-dir ${NANOSTATE_CARGO_TARGET_DIR}
        COMMAND ${CMAKE_COMMAND} -D VERSION=${PROJECT_VERSION} -D FROM=${NANOSTATE_CARGO_TARGET_DIR}/release
            -D TO=${PROJECT_BINARY_DIR} -D CAT=${NANOSTATE_CAT} -P ${PROJECT_SOURCE_DIR}/cmake/stage.cmake
        BYPRODUCTS
            ${PROJECT_BINARY_DIR}/libnanostate.so.${PROJECT_VERSION}
            ${PROJECT_BINARY_DIR}/libnanostate.a
            ${PROJECT_BINARY_DIR}/nanostate
            ${cat}
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
        COMMENT "Building nanostate by cargo"
        USES_TERMINAL
        VERBATIM)
    # For tests that run the command.
    set(NANOSTATE_COMMAND ${PROJECT_BINARY_DIR}/nanostate PARENT_SCOPE)
    set(NANOSTATE_CAT_COMMAND ${cat} PARENT_SCOPE)
endfunction()
