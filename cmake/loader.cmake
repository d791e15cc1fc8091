# The end of an installation: has the loader find the libraries in NANOSTATE_LIBDIR, or says what it takes.
# (Run by the script that installs, which knows CMAKE_INSTALL_PREFIX.)

if(NOT "$ENV{DESTDIR}" STREQUAL "")
    return() # these files are for a package: whoever installs that has the loader find them
endif()

get_filename_component(nanostate_libdir "${NANOSTATE_LIBDIR}" ABSOLUTE BASE_DIR "${CMAKE_INSTALL_PREFIX}")
get_filename_component(nanostate_real_libdir "${nanostate_libdir}" REALPATH)

# The loader's own list, in lines like "/usr/local/lib: (from …)".
find_program(NANOSTATE_LDCONFIG ldconfig PATHS /sbin /usr/sbin)
set(nanostate_loader_dirs "")
if(NANOSTATE_LDCONFIG)
    execute_process(COMMAND ${NANOSTATE_LDCONFIG} -N -X -v OUTPUT_VARIABLE nanostate_loader_dirs ERROR_QUIET)
endif()
set(nanostate_is_searched OFF)
foreach(dir IN LISTS nanostate_libdir nanostate_real_libdir)
    string(FIND "\n${nanostate_loader_dirs}" "\n${dir}:" found)
    if(NOT found EQUAL -1)
        set(nanostate_is_searched ON)
    endif()
endforeach()

if(nanostate_is_searched)
    execute_process(COMMAND id -u OUTPUT_VARIABLE nanostate_user OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(nanostate_user STREQUAL "0")
        execute_process(COMMAND ${NANOSTATE_LDCONFIG} RESULT_VARIABLE nanostate_result)
        if(nanostate_result EQUAL 0)
            message("-- The loader finds the libraries in ${nanostate_libdir} (ldconfig)")
            return()
        endif()
    endif()
    message("-- For the loader to find the libraries in ${nanostate_libdir}: sudo ldconfig")
else()
    message("-- The loader does not look in ${nanostate_libdir}. Programs find the libraries by\n"
        "     LD_LIBRARY_PATH=${nanostate_libdir}\n"
        "   or if they are linked with -Wl,-rpath,${nanostate_libdir}; pkg-config and CMake find the package by\n"
        "     PKG_CONFIG_PATH=${nanostate_libdir}/pkgconfig  CMAKE_PREFIX_PATH=${CMAKE_INSTALL_PREFIX}")
endif()
