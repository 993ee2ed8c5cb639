# The web page that is built into the gateway: sets PS_PAGE_DIR, and PS_PAGE_FILES for what it is made of.
#
# PS_PAGE  unset   bundled from web/ (npm fetches what package-lock.json names, once a build directory and lock file)
#          DIR     a page that was built elsewhere: the directory web/page of a build
#          OFF     none: the gateway says so at /, and serves its API
set(PS_PAGE "" CACHE STRING "Web page: empty = bundled here with npm; a directory = built elsewhere; OFF = none")

set(PS_PAGE_NAMES index.html icon.svg app.js app.css licenses.txt)
if(PS_PAGE STREQUAL "")
  find_program(PS_NPM npm)
  if(NOT PS_NPM)
    message(FATAL_ERROR "npm is not installed, and the web page is bundled with it: sudo packaging/setup.sh build\n"
      "Without npm: -DPS_PAGE=DIR takes a page that was built elsewhere (the directory web/page of a build), -DPS_PAGE=OFF builds without one.")
  endif()
  set(PS_PAGE_BUILD ${CMAKE_BINARY_DIR}/web)
  set(PS_PAGE_DIR ${PS_PAGE_BUILD}/page)
  list(TRANSFORM PS_PAGE_NAMES PREPEND ${PS_PAGE_DIR}/ OUTPUT_VARIABLE PS_PAGE_FILES)
  file(GLOB_RECURSE PS_PAGE_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/web/src/*.js ${CMAKE_SOURCE_DIR}/web/src/*.jsx ${CMAKE_SOURCE_DIR}/web/css/*.css)
  add_custom_command(
    OUTPUT ${PS_PAGE_BUILD}/modules.stamp
    COMMAND ${CMAKE_SOURCE_DIR}/web/bundle.sh modules ${PS_PAGE_BUILD}
    COMMAND ${CMAKE_COMMAND} -E touch ${PS_PAGE_BUILD}/modules.stamp
    DEPENDS ${CMAKE_SOURCE_DIR}/web/package.json ${CMAKE_SOURCE_DIR}/web/package-lock.json ${CMAKE_SOURCE_DIR}/web/bundle.sh
    COMMENT "Fetching what the web page is bundled from" VERBATIM)
  add_custom_command(
    OUTPUT ${PS_PAGE_FILES}
    COMMAND ${CMAKE_SOURCE_DIR}/web/bundle.sh page ${PS_PAGE_BUILD}
    DEPENDS ${PS_PAGE_BUILD}/modules.stamp ${PS_PAGE_SOURCES} ${CMAKE_SOURCE_DIR}/web/index.html ${CMAKE_SOURCE_DIR}/web/icon.svg
    COMMENT "Bundling the web page" VERBATIM)
elseif(NOT PS_PAGE)
  set(PS_PAGE_DIR ${CMAKE_SOURCE_DIR}/web/off)
  set(PS_PAGE_NAMES index.html)
  set(PS_PAGE_FILES ${PS_PAGE_DIR}/index.html)
else()
  get_filename_component(PS_PAGE_DIR ${PS_PAGE} ABSOLUTE BASE_DIR ${CMAKE_SOURCE_DIR})
  list(TRANSFORM PS_PAGE_NAMES PREPEND ${PS_PAGE_DIR}/ OUTPUT_VARIABLE PS_PAGE_FILES)
  foreach(file ${PS_PAGE_FILES})
    if(NOT EXISTS ${file})
      message(FATAL_ERROR "PS_PAGE is ${PS_PAGE}, but there is no ${file}: it must be the directory web/page of a build.")
    endif()
  endforeach()
endif()
