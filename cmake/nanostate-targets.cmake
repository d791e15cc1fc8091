# The targets that programs link, as much in the installed package as in a project that includes nanostate's own:
#
#   nanostate::nanostate   the shared library
#   nanostate::static      the static library, with the system's libraries that it needs
#   nanostate::compat      sources written for the original nanostate: the headers of old, and the library; with one Qt
#                          library also that one (with both, a program names the one it wants besides)
#
# Who includes this has set: _nanostate_kinds (which are there: shared, static), _nanostate_scope (GLOBAL or empty),
# _nanostate_version, _nanostate_library_dir, _nanostate_include_dir, _nanostate_system_libraries,
# _nanostate_compat_qt_majors (the Qt libraries for compat).

if(shared IN_LIST _nanostate_kinds AND NOT TARGET nanostate::nanostate)
    add_library(nanostate::nanostate SHARED IMPORTED ${_nanostate_scope})
    string(REGEX MATCH "^[0-9]+" _nanostate_major ${_nanostate_version})
    set_target_properties(nanostate::nanostate PROPERTIES
        IMPORTED_LOCATION ${_nanostate_library_dir}/libnanostate.so.${_nanostate_version}
        IMPORTED_SONAME libnanostate.so.${_nanostate_major}
        INTERFACE_INCLUDE_DIRECTORIES ${_nanostate_include_dir})
    unset(_nanostate_major)
endif()

if(static IN_LIST _nanostate_kinds AND NOT TARGET nanostate::static)
    add_library(nanostate::static STATIC IMPORTED ${_nanostate_scope})
    set_target_properties(nanostate::static PROPERTIES
        IMPORTED_LOCATION ${_nanostate_library_dir}/libnanostate.a
        IMPORTED_LINK_INTERFACE_LANGUAGES C
        INTERFACE_INCLUDE_DIRECTORIES ${_nanostate_include_dir}
        INTERFACE_LINK_LIBRARIES "${_nanostate_system_libraries}")
endif()

if(NOT TARGET nanostate::compat)
    add_library(nanostate::compat INTERFACE IMPORTED ${_nanostate_scope})
    set_target_properties(nanostate::compat PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES ${_nanostate_include_dir}/nanostate-compat)
    if(TARGET nanostate::nanostate)
        set_property(TARGET nanostate::compat PROPERTY INTERFACE_LINK_LIBRARIES nanostate::nanostate)
    else()
        set_property(TARGET nanostate::compat PROPERTY INTERFACE_LINK_LIBRARIES nanostate::static)
    endif()
endif()
list(LENGTH _nanostate_compat_qt_majors _nanostate_qt_count)
if(_nanostate_qt_count EQUAL 1)
    get_target_property(_nanostate_compat_links nanostate::compat INTERFACE_LINK_LIBRARIES)
    if(NOT _nanostate_compat_links MATCHES "nanostate::qt")
        set_property(TARGET nanostate::compat APPEND PROPERTY
            INTERFACE_LINK_LIBRARIES nanostate::qt${_nanostate_compat_qt_majors})
    endif()
    unset(_nanostate_compat_links)
endif()
unset(_nanostate_qt_count)
