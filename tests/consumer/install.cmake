# Installs the package, looks whether all of it is there and nothing of it knows where it was made, and moves it.
cmake_minimum_required(VERSION 3.16)

file(REMOVE_RECURSE ${FIRST} ${PREFIX} ${STATIC_PREFIX})
unset(ENV{DESTDIR})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${FIRST} --config "${CONFIG}"
    RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE words)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "cmake --install: ${result}\n${words}")
endif()
string(FIND "${words}" "LD_LIBRARY_PATH=${FIRST}/${LIBDIR}" found)
if(found EQUAL -1)
    message(SEND_ERROR "not said how the loader finds the libraries: ${words}")
endif()

string(REGEX MATCH "^[0-9]+" major ${VERSION})
foreach(file
        ${BINDIR}/nanostate ${BINDIR}/nanostate-cat ${BINDIR}/nn_sub ${BINDIR}/nn_respondent
        ${LIBDIR}/libnanostate.so ${LIBDIR}/libnanostate.so.${major} ${LIBDIR}/libnanostate.so.${VERSION}
        ${LIBDIR}/libnanostate.a
        ${LIBDIR}/pkgconfig/nanostate.pc
        ${LIBDIR}/cmake/nanostate/nanostate-config.cmake
        ${LIBDIR}/cmake/nanostate/nanostate-config-version.cmake
        ${INCLUDEDIR}/nanostate.h ${INCLUDEDIR}/nanostate.hpp
        ${INCLUDEDIR}/nanostate-compat/cnanostate/nanostate.h
        ${INCLUDEDIR}/nanostate-compat/qtnanostate/qnanostate.h
        ${MANDIR}/man1/nanostate.1 ${MANDIR}/man1/nanostate-hub.1 ${MANDIR}/man1/nanostate-cat.1
        ${DATADIR}/bash-completion/completions/nanostate
        ${DATADIR}/zsh/site-functions/_nanostate
        ${DATADIR}/fish/vendor_completions.d/nanostate.fish
        ${DATADIR}/bash-completion/completions/nanostate-cat
        ${DATADIR}/zsh/site-functions/_nanostate-cat
        ${DATADIR}/fish/vendor_completions.d/nanostate-cat.fish
        ${DATADIR}/doc/nanostate/LICENSE ${DATADIR}/doc/nanostate/THIRD-PARTY.md)
    if(NOT EXISTS ${FIRST}/${file})
        message(SEND_ERROR "not installed: ${file}")
    endif()
endforeach()
foreach(link libnanostate.so libnanostate.so.${major})
    if(NOT IS_SYMLINK ${FIRST}/${LIBDIR}/${link})
        message(SEND_ERROR "not a link: ${link}")
    endif()
endforeach()

file(GLOB_RECURSE texts ${FIRST}/*.cmake ${FIRST}/*.pc ${FIRST}/*.h ${FIRST}/*.hpp ${FIRST}/*/qmldir ${FIRST}/*.qmltypes)
foreach(text IN LISTS texts)
    file(READ ${text} content)
    foreach(place ${FIRST} ${BUILD} ${SOURCE})
        string(FIND "${content}" ${place} found)
        if(NOT found EQUAL -1)
            message(SEND_ERROR "${text} names ${place}")
        endif()
    endforeach()
endforeach()
file(RENAME ${FIRST} ${PREFIX})

execute_process(COMMAND ${PREFIX}/${BINDIR}/nanostate --version OUTPUT_VARIABLE said OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT said STREQUAL "nanostate ${VERSION}")
    message(SEND_ERROR "nanostate --version: ${said}")
endif()

execute_process(COMMAND ${PREFIX}/${BINDIR}/nanostate cat --version
    OUTPUT_VARIABLE said OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT said STREQUAL "nanostate-cat ${VERSION}")
    message(SEND_ERROR "nanostate cat --version: ${said}")
endif()
execute_process(COMMAND ${PREFIX}/${BINDIR}/nn_sub --pull ERROR_VARIABLE said OUTPUT_QUIET)
if(NOT said MATCHES "selects --sub")
    message(SEND_ERROR "nn_sub --pull: ${said}")
endif()

# As a distribution may have it, with the static library alone and nothing for Qt.
file(COPY ${PREFIX}/${INCLUDEDIR}/ DESTINATION ${STATIC_PREFIX}/${INCLUDEDIR})
file(COPY ${PREFIX}/${LIBDIR}/libnanostate.a DESTINATION ${STATIC_PREFIX}/${LIBDIR})
file(COPY ${PREFIX}/${LIBDIR}/cmake/ DESTINATION ${STATIC_PREFIX}/${LIBDIR}/cmake PATTERN "nanostate-q*" EXCLUDE)
