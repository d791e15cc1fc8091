# What is installed of what cargo built, the headers, and the package for CMake and pkg-config. qt/ installs its own.
include(CMakePackageConfigHelpers)

install(PROGRAMS ${NANOSTATE_COMMAND} DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES
    ${PROJECT_BINARY_DIR}/libnanostate.so.${PROJECT_VERSION}
    ${PROJECT_BINARY_DIR}/libnanostate.so.${PROJECT_VERSION_MAJOR}
    ${PROJECT_BINARY_DIR}/libnanostate.so
    ${PROJECT_BINARY_DIR}/libnanostate.a
    DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")

install(DIRECTORY ${PROJECT_BINARY_DIR}/share/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
set(completions ${PROJECT_BINARY_DIR}/share/completions)
install(FILES ${completions}/nanostate DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${completions}/_nanostate DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${completions}/nanostate.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

if(NANOSTATE_CAT)
    install(PROGRAMS ${NANOSTATE_CAT_COMMAND} DESTINATION ${CMAKE_INSTALL_BINDIR})
    set(completions ${PROJECT_BINARY_DIR}/share/cat/completions)
    install(FILES ${completions}/nanostate-cat DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${completions}/_nanostate-cat DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
    install(FILES ${completions}/nanostate-cat.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
    if(NANOSTATE_CAT_NAMES)
        install(DIRECTORY ${PROJECT_BINARY_DIR}/share/cat/names/ DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
endif()

# Not DOCDIR, which is that of the project that includes this one.
install(FILES LICENSE THIRD-PARTY.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/nanostate)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/nanostate)
configure_package_config_file(cmake/nanostate-config.cmake.in ${PROJECT_BINARY_DIR}/package/nanostate-config.cmake
    INSTALL_DESTINATION ${package_dir}
    PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/nanostate-config-version.cmake
    COMPATIBILITY SameMajorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/package/nanostate-config.cmake
    ${PROJECT_BINARY_DIR}/package/nanostate-config-version.cmake
    cmake/nanostate-targets.cmake
    DESTINATION ${package_dir})

# From where it lies, so that the prefix may be moved.
file(RELATIVE_PATH prefix_from_pcfiledir ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" prefix_from_pcfiledir ${prefix_from_pcfiledir})
foreach(dir LIBDIR INCLUDEDIR) # these may be absolute
    file(RELATIVE_PATH ${dir}_from_prefix ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_${dir}})
endforeach()
file(STRINGS Cargo.toml description REGEX "^description = " LIMIT_COUNT 1)
string(REGEX REPLACE "^description = \"(.*)\"$" "\\1" description "${description}")
list(TRANSFORM _nanostate_system_libraries PREPEND -l OUTPUT_VARIABLE libs_private)
list(JOIN libs_private " " libs_private)
configure_file(cmake/nanostate.pc.in ${PROJECT_BINARY_DIR}/package/nanostate.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/nanostate.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The last step. A project that includes this one has its own say in where libraries are found.
if(top_level)
    install(CODE "set(NANOSTATE_LIBDIR \"${CMAKE_INSTALL_LIBDIR}\")")
    install(SCRIPT cmake/loader.cmake)
endif()
