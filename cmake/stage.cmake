# cmake -D FROM=<cargo's target directory>/release -D TO=<directory> -D VERSION=<of nanostate> -P stage.cmake
#
# Makes of what cargo built what is linked, run and installed. Files that come out the same keep their time.
cmake_minimum_required(VERSION 3.16)

# In TO, so that a rename moves it: a program that runs keeps the old file.
set(new ${TO}/stage)

# Copies FROM/name to TO/as unless that is the same.
function(stage name as)
    execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${FROM}/${name} ${TO}/${as}
        RESULT_VARIABLE differ OUTPUT_QUIET ERROR_QUIET)
    if(NOT differ EQUAL 0)
        file(COPY ${FROM}/${name} DESTINATION ${new})
        file(TOUCH ${new}/${name})
        file(RENAME ${new}/${name} ${TO}/${as})
    endif()
endfunction()

# Sets result to what is to be written into `record` once `output` is made of these files; to nothing if it is made.
function(outdated result output record)
    set(sums "")
    foreach(file IN LISTS ARGN)
        file(SHA256 ${file} sum)
        string(APPEND sums "${sum}\n")
    endforeach()
    set(before "")
    if(EXISTS ${output} AND EXISTS ${record})
        file(READ ${record} before)
    endif()
    if(before STREQUAL sums)
        set(sums "")
    endif()
    set(${result} "${sums}" PARENT_SCOPE)
endfunction()

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        list(JOIN ARGN " " command)
        message(FATAL_ERROR "${command}: ${result}")
    endif()
endfunction()

file(MAKE_DIRECTORY ${new})
set(static_library ${CMAKE_CURRENT_LIST_DIR}/../scripts/static-library)
string(REGEX MATCH "^[0-9]+" major ${VERSION})
stage(libnanostate.so libnanostate.so.${VERSION})
file(CREATE_LINK libnanostate.so.${VERSION} ${TO}/libnanostate.so.${major} SYMBOLIC)
file(CREATE_LINK libnanostate.so.${major} ${TO}/libnanostate.so SYMBOLIC)

outdated(old ${TO}/libnanostate.a ${TO}/libnanostate.a.sources ${FROM}/libnanostate.a ${static_library})
if(old)
    run(${static_library} ${FROM}/libnanostate.a ${new}/libnanostate.a)
    file(RENAME ${new}/libnanostate.a ${TO}/libnanostate.a)
    file(WRITE ${TO}/libnanostate.a.sources "${old}")
endif()

stage(nanostate nanostate)
outdated(old ${TO}/share ${TO}/share/sources ${TO}/nanostate ${CMAKE_CURRENT_LIST_FILE})
if(old)
    file(MAKE_DIRECTORY ${new}/share/man ${new}/share/completions)
    run(${TO}/nanostate man ${new}/share/man)
    # Named as each shell looks for them.
    run(${TO}/nanostate completions bash OUTPUT_FILE ${new}/share/completions/nanostate)
    run(${TO}/nanostate completions zsh OUTPUT_FILE ${new}/share/completions/_nanostate)
    run(${TO}/nanostate completions fish OUTPUT_FILE ${new}/share/completions/nanostate.fish)
    file(WRITE ${new}/share/sources "${old}")
    file(REMOVE_RECURSE ${TO}/share)
    file(RENAME ${new}/share ${TO}/share)
endif()
file(REMOVE_RECURSE ${new})
