# The files of resolver/daemon/ui/ as a C table of bytes, types and SHA-256s, without any other tool than CMake.
# Included: says when to make it. Run by cmake -P with FOLDER, OUT, FILES: makes it.
#
# All but the page lie under one folder whose name comes from what they are, so that they may be kept for ever; the page
# says @ASSETS@ where that name stands.
if(CMAKE_SCRIPT_MODE_FILE)
  set(digests "")
  set(bodies "")
  set(rows "")
  string(REPLACE "," ";" FILES "${FILES}")
  foreach(name ${FILES})
    file(SHA256 ${FOLDER}/${name} sum)
    string(APPEND digests "${name} ${sum}\n")
  endforeach()
  string(SHA256 assets "${digests}")
  string(SUBSTRING ${assets} 0 16 assets)
  file(READ ${FOLDER}/index.html page)
  string(REPLACE "@ASSETS@" "${assets}" page "${page}")
  file(WRITE ${OUT}.html "${page}")

  set(i 0)
  foreach(name index.html ${FILES})
    set(file ${FOLDER}/${name})
    set(path "${assets}/${name}")
    if(name STREQUAL index.html)
      set(file ${OUT}.html)
      set(path "")
    endif()
    if(name MATCHES "\\.html$")
      set(type "text/html; charset=utf-8")
    elseif(name MATCHES "\\.css$")
      set(type "text/css; charset=utf-8")
    elseif(name MATCHES "\\.js$")
      set(type "text/javascript; charset=utf-8")
    elseif(name MATCHES "\\.svg$")
      set(type "image/svg+xml")
    else()
      message(FATAL_ERROR "${name}: of which type is it? Say so in cmake/ui.cmake.")
    endif()
    file(SHA256 ${file} sum)
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
    string(APPEND bodies "static const unsigned char file_${i}[] = {\n${hex}};\n")
    string(APPEND rows "    {\"${path}\", \"${type}\", \"\\\"${sum}\\\"\", file_${i}, sizeof(file_${i})},\n")
    math(EXPR i "${i} + 1")
  endforeach()
  file(WRITE ${OUT} "/* made by cmake/ui.cmake from resolver/daemon/ui/ */\n#include \"resolver/daemon/ui_files.h\"\n\n"
       "${bodies}\nconst struct ui_file ui_files[] = {\n${rows}};\n"
       "const size_t ui_n_files = sizeof(ui_files) / sizeof(ui_files[0]);\n")
  return()
endif()

set(MS_UI_FOLDER ${CMAKE_SOURCE_DIR}/resolver/daemon/ui)
file(GLOB ui_paths CONFIGURE_DEPENDS ${MS_UI_FOLDER}/*)
set(ui_names "")
foreach(path ${ui_paths})
  get_filename_component(name ${path} NAME)
  if(NOT name STREQUAL index.html)
    list(APPEND ui_names ${name})
  endif()
endforeach()
list(SORT ui_names)
list(JOIN ui_names "," ui_names)
add_custom_command(
  OUTPUT ${CMAKE_BINARY_DIR}/ui_files.c
  COMMAND ${CMAKE_COMMAND} -D FOLDER=${MS_UI_FOLDER} -D OUT=${CMAKE_BINARY_DIR}/ui_files.c -D FILES=${ui_names}
          -P ${CMAKE_SOURCE_DIR}/cmake/ui.cmake
  DEPENDS ${ui_paths} ${CMAKE_SOURCE_DIR}/cmake/ui.cmake
  COMMENT "Embedding the page for auditors"
  VERBATIM)
target_sources(ms_daemon PRIVATE ${CMAKE_BINARY_DIR}/ui_files.c)
