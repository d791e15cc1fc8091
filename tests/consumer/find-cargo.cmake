include(${CMAKE_CURRENT_LIST_DIR}/../../cmake/Cargo.cmake)
nanostate_find_cargo()
