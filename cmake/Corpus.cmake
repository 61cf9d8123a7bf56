# Helpers for the folders of corpus.

# corpus_library(NAME FOLDER SOURCES… [DEPENDS LIBRARY…] [PKG PACKAGE…] [PUBLIC_PKG PACKAGE…])
#
# A static library corpus_NAME of the sources in this folder. FOLDER is its path in the tree
# ("agent/ops"). Only its own headers and those of its DEPENDS can be included, by their path from
# the top ("base/err.h"): each library gets an include directory that holds a link to its folder and
# nothing else, so a wrong include does not compile. Dependencies do not pass on what they
# themselves depend on, except for what their headers need (DEPENDS are public: headers include
# headers). PKG are pkg-config packages for the sources, PUBLIC_PKG for the headers too.
function(corpus_library name folder)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE;PKG;PUBLIC_PKG" ${ARGN})
  set(target corpus_${name})
  set(stage ${CMAKE_BINARY_DIR}/include/${name})
  get_filename_component(parent ${folder} DIRECTORY)
  file(MAKE_DIRECTORY ${stage}/${parent})
  if(NOT EXISTS ${stage}/${folder})
    file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${folder} ${stage}/${folder} SYMBOLIC)
  endif()
  add_library(${target} STATIC ${ARG_SOURCES})
  target_include_directories(${target} PUBLIC ${stage})
  foreach(dependency ${ARG_DEPENDS})
    target_link_libraries(${target} PUBLIC corpus_${dependency})
  endforeach()
  foreach(dependency ${ARG_PRIVATE})
    target_link_libraries(${target} PRIVATE corpus_${dependency})
  endforeach()
  corpus_packages(${target} PRIVATE ${ARG_PKG})
  corpus_packages(${target} PUBLIC ${ARG_PUBLIC_PKG})
endfunction()

# corpus_packages(TARGET PRIVATE|PUBLIC PACKAGE…): links pkg-config packages.
function(corpus_packages target visibility)
  foreach(package ${ARGN})
    string(MAKE_C_IDENTIFIER ${package} id)
    if(NOT TARGET PkgConfig::${id})
      pkg_check_modules(${id} REQUIRED IMPORTED_TARGET GLOBAL ${package})
    endif()
    target_link_libraries(${target} ${visibility} PkgConfig::${id})
  endforeach()
endfunction()

# corpus_program(NAME SOURCES… [DEPENDS LIBRARY…] [PKG PACKAGE…]): an executable. All of them are
# built into bin/, where corpusd finds its helpers beside itself.
function(corpus_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PKG" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  foreach(dependency ${ARG_DEPENDS})
    target_link_libraries(${name} PRIVATE corpus_${dependency})
  endforeach()
  corpus_packages(${name} PRIVATE ${ARG_PKG})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# corpus_single_threaded(NAME): keeps the thread sanitizer out of a program and of the libraries in
# it, by compiling their sources anew. For programs of one thread that enter user namespaces: the
# kernel lets in only processes of one thread, and the sanitizer starts one of its own in what forks.
function(corpus_single_threaded name)
  if(NOT CORPUS_SANITIZE STREQUAL "thread")
    return()
  endif()
  get_target_property(waiting ${name} LINK_LIBRARIES)
  set(packages)
  set(seen)
  while(waiting)
    list(POP_FRONT waiting library)
    if(library IN_LIST seen)
      continue()
    endif()
    list(APPEND seen ${library})
    set(imported TRUE)
    if(TARGET ${library})
      get_target_property(imported ${library} IMPORTED)
    endif()
    if(imported)
      list(APPEND packages ${library})
      continue()
    endif()
    get_target_property(folder ${library} SOURCE_DIR)
    get_target_property(sources ${library} SOURCES)
    list(TRANSFORM sources PREPEND ${folder}/)
    target_sources(${name} PRIVATE ${sources})
    target_include_directories(${name} PRIVATE
      $<TARGET_PROPERTY:${library},INTERFACE_INCLUDE_DIRECTORIES>)
    get_target_property(definitions ${library} COMPILE_DEFINITIONS)
    if(definitions)
      target_compile_definitions(${name} PRIVATE ${definitions})
    endif()
    get_target_property(more ${library} LINK_LIBRARIES)
    if(more)
      list(APPEND waiting ${more})
    endif()
  endwhile()
  set_property(TARGET ${name} PROPERTY LINK_LIBRARIES ${packages})
  target_compile_options(${name} PRIVATE -fno-sanitize=thread)
  target_link_options(${name} PRIVATE -fno-sanitize=thread)
endfunction()

# corpus_test(NAME SOURCES… [DEPENDS LIBRARY…] [PKG PACKAGE…] [LABELS LABEL…]): a cmocka test
# program, run by ctest. The label "root" says that it needs root and makes namespaces, mounts or
# loop devices of its own.
function(corpus_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PKG;LABELS" ${ARGN})
  corpus_program(${name} SOURCES ${ARG_SOURCES} DEPENDS ${ARG_DEPENDS} PKG ${ARG_PKG} cmocka)
  target_compile_definitions(${name} PRIVATE
    TEST_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}" TEST_BINARY_DIR="${CMAKE_BINARY_DIR}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS "${ARG_LABELS}")
endfunction()
